package wire_test

import (
	"errors"
	"strconv"
	"testing"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/wire"
)

func TestSaved(t *testing.T) {
	t.Parallel()
	saved := func(n int) wire.Message {
		s := wire.Saved{Plan: somePlan, Epoch: 3}
		for id := range n {
			s.Pieces = append(s.Pieces, wire.SavedPiece{Entry: wire.Entry{ID: chunk.ID(id), Objects: 50, Of: 100}, Mapper: "m" + strconv.Itoa(id)})
		}
		return s.Encode(someKey)
	}
	whole := saved(wire.MaxSaved)
	if _, err := wire.DecodeSaved(someKey, whole); err != nil || whole.Size() > 256<<10 {
		t.Errorf("%d pieces in %d bytes: %v, want at most 256 KiB", wire.MaxSaved, whole.Size(), err)
	}
	for _, n := range []int{0, wire.MaxSaved + 1} {
		if _, err := wire.DecodeSaved(someKey, saved(n)); !errors.Is(err, wire.ErrMalformed) {
			t.Errorf("%d pieces in one message: %v, want %v", n, err, wire.ErrMalformed)
		}
	}
	for what, change := range map[string]func(wire.Message){
		"more places than mappers": func(m wire.Message) { m.Header["Chunkline-Mappers"] = "m0" },
		"a mapper without name":    func(m wire.Message) { m.Header["Chunkline-Mappers"] = "m0,,m2" },
		"no mappers":               func(m wire.Message) { delete(m.Header, "Chunkline-Mappers") },
		"an ID too large":          func(m wire.Message) { m.Body[0] = 0xff },
		"a piece beyond its chunk": func(m wire.Message) { m.Body[9] = 51 },
		"a piece of no object":     func(m wire.Message) { m.Body[11] = 0 },
	} {
		m := saved(3)
		change(m)
		m.Header["Chunkline-Sum"] = wire.SumText(m.Body)
		if _, err := wire.DecodeSaved(someKey, wire.Sign(someKey, m)); !errors.Is(err, wire.ErrMalformed) {
			t.Errorf("%s: %v, want %v", what, err, wire.ErrMalformed)
		}
	}
}

// A sender without the job's key cannot confirm pieces.
func TestSaved_forged(t *testing.T) {
	t.Parallel()
	s := wire.Saved{Plan: somePlan, Epoch: 3, Pieces: []wire.SavedPiece{{Entry: wire.Entry{Objects: 1, Of: 1}, Mapper: "m1"}}}
	for what, forge := range map[string]func() wire.Message{
		"another key":  func() wire.Message { return s.Encode([]byte("another")) },
		"no key":       func() wire.Message { return s.Encode(nil) },
		"no signature": func() wire.Message { m := s.Encode(someKey); delete(m.Header, "Chunkline-Signature"); return m },
		"other epoch":  func() wire.Message { m := s.Encode(someKey); m.Header["Chunkline-Epoch"] = "4"; return m },
		"other body": func() wire.Message {
			m := s.Encode(someKey)
			m.Body = append([]byte(nil), m.Body...)
			m.Body[7] = 9
			m.Header["Chunkline-Sum"] = wire.SumText(m.Body)
			return m
		},
	} {
		if got, err := wire.DecodeSaved(someKey, forge()); !errors.Is(err, wire.ErrForged) || got.Pieces != nil {
			t.Errorf("%s: %+v, %v, want %v", what, got, err, wire.ErrForged)
		}
	}
	if _, err := wire.DecodeSaved(nil, s.Encode(nil)); !errors.Is(err, wire.ErrForged) {
		t.Errorf("without a key: %v, want %v", err, wire.ErrForged)
	}
	m := s.Encode(someKey)
	m.Header["Traceparent"] = "00-1-2-01" // added on the way
	if _, err := wire.DecodeSaved(someKey, m); err != nil {
		t.Errorf("with another's header: %v", err)
	}
}
