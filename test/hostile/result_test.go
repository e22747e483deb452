package hostile

import (
	"bytes"
	"slices"
	"testing"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/internal/wire"
)

// TestForgedResults: a result counts with the token of its chunk only, whole,
// and once. Of two with different content the first wins.
func TestForgedResults(t *testing.T) {
	t.Parallel()
	j := newJob(t, 2000)
	j.saver()
	fetcher := j.fetcher()
	work := j.lease()
	other := j.lease()
	for other.Chunk.ID == work.Chunk.ID { // the attacker does not say what it holds, so it may get it again
		other = j.lease()
	}
	good := j.result(work)
	lines := slices.Collect(bytes.Lines(good.Outputs))
	letter := chunk.DeadLetter{Ordinal: good.First, Chunk: good.Chunk, Error: "forged", Attempts: 1, Object: []byte(`1`)}.Append(nil)

	for _, c := range []struct {
		name  string
		want  wire.SaveStatus
		forge func(s *wire.Save)
	}{
		{"a chunk that was never leased", wire.SaveRefused, func(s *wire.Save) { s.Chunk, s.First = 15, 1500 }},
		{"a chunk beyond the end", wire.SaveRefused, func(s *wire.Save) { s.Chunk = 1 << 62 }},
		{"no token", wire.SaveRefused, func(s *wire.Save) { s.Token = "00000000000000000000000000000000" }},
		{"the token of another chunk", wire.SaveRefused, func(s *wire.Save) { s.Token = other.Token }},
		{"another chunk's digest", wire.SaveRefused, func(s *wire.Save) { s.Digest = other.Digest }},
		{"another first object", wire.SaveRefused, func(s *wire.Save) { s.First += 100 }},
		{"the largest first object", wire.SaveRefused, func(s *wire.Save) { s.First = 1 << 62 }},
		{"another plan", wire.SaveRefused, func(s *wire.Save) { s.Plan = "00000000000000000000000000000000" }},
		{"fewer objects", wire.SaveRefused, func(s *wire.Save) {
			s.Objects, s.Counts, s.Outputs = 99, s.Counts[:99], bytes.Join(lines[:99], nil)
		}},
		{"more objects", wire.SaveRefused, func(s *wire.Save) {
			s.Objects, s.Counts, s.Outputs = 101, append(s.Counts, 1), append(s.Outputs, lines[0]...)
		}},
		{"fewer counts than objects", wire.SaveRefused, func(s *wire.Save) { s.Counts = s.Counts[:99] }},
		{"fewer lines than counted", wire.SaveBusy, func(s *wire.Save) { s.Outputs = bytes.Join(lines[:99], nil) }},
		{"more lines than counted", wire.SaveBusy, func(s *wire.Save) { s.Outputs = append(s.Outputs, lines[0]...) }},
		{"the last line without end", wire.SaveBusy, func(s *wire.Save) { s.Outputs = s.Outputs[:len(s.Outputs)-1] }},
		{"an output and a dead letter", wire.SaveRefused, func(s *wire.Save) { s.Dead, s.DeadCount = letter, 1 }},
		{"a result to compare with what is not saved", wire.SaveRefused, func(s *wire.Save) { s.Shadow = true }},
		{"a result to compare without a token", wire.SaveRefused, func(s *wire.Save) { s.Shadow, s.Token = true, other.Token }},
		{"more dead letters than objects", wire.SaveRefused, func(s *wire.Save) {
			s.Counts, s.Outputs = make([]int, 100), nil
			s.Dead, s.DeadCount = bytes.Repeat(letter, 101), 101
		}},
	} {
		forged := good
		forged.Counts, forged.Outputs = slices.Clone(good.Counts), slices.Clone(good.Outputs)
		c.forge(&forged)
		if got := j.save(forged.Encode()); got.Status != c.want {
			t.Errorf("%s: %s %s, want %s", c.name, got.Status, got.Reason, c.want)
		}
	}
	if s := j.status(); s.Chunks.Saved != 0 || s.Summary.Chunks != 0 {
		t.Errorf("forged results: the fetcher counts %d chunks as saved, the sink %d; want none", s.Chunks.Saved, s.Summary.Chunks)
	}

	// In another's name, of another epoch and attempt: the token is what counts.
	good.Mapper, good.Epoch, good.Attempt = report.Mapper{ID: "another", Name: "another"}, 1<<62, 1<<30
	if got := j.save(good.Encode()); got.Status != wire.SaveCommitted {
		t.Errorf("the true result: %s %s, want committed", got.Status, got.Reason)
	}
	reordered := good
	slices.Reverse(lines)
	reordered.Outputs = bytes.Join(lines, nil)
	if got := j.save(reordered.Encode()); got.Status != wire.SaveDuplicate {
		t.Errorf("another content of the same chunk: %s %s, want duplicate", got.Status, got.Reason)
	}
	reordered.Shadow = true
	for range 200 { // compared as often as it comes, and never saved
		if got := j.save(reordered.Encode()); got.Status != wire.SaveDuplicate {
			t.Fatalf("another content, to compare: %s %s, want duplicate", got.Status, got.Reason)
		}
	}
	j.mapper("mapper", "users")
	j.end(fetcher)
}
