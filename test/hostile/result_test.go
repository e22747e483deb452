//go:build long

package hostile

import (
	"bytes"
	"slices"
	"testing"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/internal/wire"
)

// TestForgedResults: a result counts only with the token of its chunk, only complete,
// and only once. Of two with different content the first wins.
func TestForgedResults(t *testing.T) {
	t.Parallel()
	j := newJob(t, 2000)
	j.saver()
	fetcher := j.fetcher()
	work := j.lease()
	other := j.lease()
	for other.Grant[0].Chunk.ID == work.Grant[0].Chunk.ID { // it lists nothing as held, so it may get the same chunk again
		other = j.lease()
	}
	good, honest := j.result(work), j.result(work).Results[0]
	lines := slices.Collect(bytes.Lines(honest.Outputs))
	letter := chunk.DeadLetter{Ordinal: honest.First, Chunk: honest.Chunk, Error: "forged", Attempts: 1, Object: []byte(`1`)}.Append(nil)

	for _, c := range []struct {
		name  string
		want  wire.SaveStatus
		forge func(s *wire.Save, r *wire.Result)
	}{
		{"a chunk that was never leased", wire.SaveRefused, func(_ *wire.Save, r *wire.Result) { r.Chunk, r.First = 15, 1500 }},
		{"a chunk beyond the end", wire.SaveRefused, func(_ *wire.Save, r *wire.Result) { r.Chunk = 1 << 62 }},
		{"no token", wire.SaveRefused, func(_ *wire.Save, r *wire.Result) { r.Token = "00000000000000000000000000000000" }},
		{"the token of another chunk", wire.SaveRefused, func(_ *wire.Save, r *wire.Result) { r.Token = other.Grant[0].Token }},
		{"another chunk's digest", wire.SaveRefused, func(_ *wire.Save, r *wire.Result) { r.Digest = other.Grant[0].Digest }},
		{"another first object", wire.SaveRefused, func(_ *wire.Save, r *wire.Result) { r.First += 100 }},
		{"the largest first object", wire.SaveRefused, func(_ *wire.Save, r *wire.Result) { r.First = 1 << 62 }},
		{"another plan", wire.SaveRefused, func(s *wire.Save, _ *wire.Result) { s.Plan = "00000000000000000000000000000000" }},
		{"fewer objects", wire.SaveRefused, func(_ *wire.Save, r *wire.Result) {
			r.Objects, r.Counts, r.Outputs = 99, r.Counts[:99], bytes.Join(lines[:99], nil)
		}},
		{"more objects", wire.SaveRefused, func(_ *wire.Save, r *wire.Result) {
			r.Objects, r.Counts, r.Outputs = 101, append(r.Counts, 1), append(r.Outputs, lines[0]...)
		}},
		{"fewer counts than objects", wire.SaveRefused, func(_ *wire.Save, r *wire.Result) { r.Counts = r.Counts[:99] }},
		{"fewer lines than counted", wire.SaveBusy, func(_ *wire.Save, r *wire.Result) { r.Outputs = bytes.Join(lines[:99], nil) }},
		{"more lines than counted", wire.SaveBusy, func(_ *wire.Save, r *wire.Result) { r.Outputs = append(r.Outputs, lines[0]...) }},
		{"the last line without end", wire.SaveBusy, func(_ *wire.Save, r *wire.Result) { r.Outputs = r.Outputs[:len(r.Outputs)-1] }},
		{"an output and a dead letter", wire.SaveRefused, func(_ *wire.Save, r *wire.Result) { r.Dead, r.DeadCount = letter, 1 }},
		{"a result to compare with what is not saved", wire.SaveRefused, func(s *wire.Save, _ *wire.Result) { s.Shadow = true }},
		{"a result to compare without a token", wire.SaveRefused, func(s *wire.Save, r *wire.Result) { s.Shadow, r.Token = true, other.Grant[0].Token }},
		{"more dead letters than objects", wire.SaveRefused, func(_ *wire.Save, r *wire.Result) {
			r.Counts, r.Outputs = make([]int, 100), nil
			r.Dead, r.DeadCount = bytes.Repeat(letter, 101), 101
		}},
	} {
		save, forged := good, honest
		forged.Counts, forged.Outputs = slices.Clone(honest.Counts), slices.Clone(honest.Outputs)
		c.forge(&save, &forged)
		save.Results = []wire.Result{forged}
		if got := j.save(save.Encode()); got.Of(0) != c.want {
			t.Errorf("%s: %s %s, want %s", c.name, got.Statuses, got.Reason, c.want)
		}
	}
	if s := j.status(); s.Chunks.Saved != 0 || s.Summary.Chunks != 0 {
		t.Errorf("forged results: the fetcher counts %d chunks as saved, the sink %d; want none", s.Chunks.Saved, s.Summary.Chunks)
	}

	// In another mapper's name, of another epoch and attempt: only the token counts.
	good.Mapper, good.Epoch, honest.Attempt = report.Mapper{ID: "another", Name: "another"}, 1<<62, 1<<30
	good.Results = []wire.Result{honest}
	if got := j.save(good.Encode()); got.Of(0) != wire.SaveCommitted {
		t.Errorf("the true result: %s %s, want committed", got.Statuses, got.Reason)
	}
	slices.Reverse(lines)
	honest.Outputs = bytes.Join(lines, nil)
	good.Results = []wire.Result{honest}
	if got := j.save(good.Encode()); got.Of(0) != wire.SaveDuplicate {
		t.Errorf("another content of the same chunk: %s %s, want duplicate", got.Statuses, got.Reason)
	}
	good.Shadow = true
	for range 200 { // compared each time, and never saved
		if got := j.save(good.Encode()); got.Of(0) != wire.SaveDuplicate {
			t.Fatalf("another content, to compare: %s %s, want duplicate", got.Statuses, got.Reason)
		}
	}
	j.mapper("mapper", "users")
	j.end(fetcher)
}
