package bus_test

import (
	"errors"
	"strconv"
	"testing"

	"github.com/chunkline/chunkline/internal/bus"
	"github.com/chunkline/chunkline/internal/chunk"
)

func TestSaved(t *testing.T) {
	t.Parallel()
	saved := func(n int) bus.Message {
		s := bus.Saved{Plan: somePlan, Epoch: 3}
		for id := range n {
			s.Chunks = append(s.Chunks, bus.SavedChunk{Entry: bus.Entry{ID: chunk.ID(id)}, Mapper: "m" + strconv.Itoa(id)})
		}
		return s.Encode(someKey)
	}
	whole := saved(bus.MaxSaved)
	if _, err := bus.DecodeSaved(someKey, whole); err != nil || whole.Size() > 256<<10 {
		t.Errorf("%d chunks in %d bytes: %v, want at most 256 KiB", bus.MaxSaved, whole.Size(), err)
	}
	for _, n := range []int{0, bus.MaxSaved + 1} {
		if _, err := bus.DecodeSaved(someKey, saved(n)); !errors.Is(err, bus.ErrMalformed) {
			t.Errorf("%d chunks in one message: %v, want %v", n, err, bus.ErrMalformed)
		}
	}
	for what, change := range map[string]func(bus.Message){
		"more chunks than mappers": func(m bus.Message) { m.Header["Chunkline-Mappers"] = "m0" },
		"a mapper without name":    func(m bus.Message) { m.Header["Chunkline-Mappers"] = "m0,,m2" },
		"no mappers":               func(m bus.Message) { delete(m.Header, "Chunkline-Mappers") },
		"an ID too large":          func(m bus.Message) { m.Body[0] = 0xff },
	} {
		m := saved(3)
		change(m)
		m.Header["Chunkline-Sum"] = bus.SumText(m.Body)
		if _, err := bus.DecodeSaved(someKey, bus.Sign(someKey, m)); !errors.Is(err, bus.ErrMalformed) {
			t.Errorf("%s: %v, want %v", what, err, bus.ErrMalformed)
		}
	}
}

// Whoever does not have the job's key cannot say that a chunk is saved.
func TestSaved_forged(t *testing.T) {
	t.Parallel()
	s := bus.Saved{Plan: somePlan, Epoch: 3, Chunks: []bus.SavedChunk{{Mapper: "m1"}}}
	for what, forge := range map[string]func() bus.Message{
		"another key":  func() bus.Message { return s.Encode([]byte("another")) },
		"no key":       func() bus.Message { return s.Encode(nil) },
		"no signature": func() bus.Message { m := s.Encode(someKey); delete(m.Header, "Chunkline-Signature"); return m },
		"other epoch":  func() bus.Message { m := s.Encode(someKey); m.Header["Chunkline-Epoch"] = "4"; return m },
		"other body": func() bus.Message {
			m := s.Encode(someKey)
			m.Body = append([]byte(nil), m.Body...)
			m.Body[7] = 9
			m.Header["Chunkline-Sum"] = bus.SumText(m.Body)
			return m
		},
	} {
		if got, err := bus.DecodeSaved(someKey, forge()); !errors.Is(err, bus.ErrForged) || got.Chunks != nil {
			t.Errorf("%s: %+v, %v, want %v", what, got, err, bus.ErrForged)
		}
	}
	if _, err := bus.DecodeSaved(nil, s.Encode(nil)); !errors.Is(err, bus.ErrForged) {
		t.Errorf("without a key: %v, want %v", err, bus.ErrForged)
	}
	m := s.Encode(someKey)
	m.Header["Traceparent"] = "00-1-2-01" // added on the way
	if _, err := bus.DecodeSaved(someKey, m); err != nil {
		t.Errorf("with another's header: %v", err)
	}
}
