package saver_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/wire"
)

// TestDead: a request for dead letters returns them shortened, the newest chunks first,
// and where the next page begins.
func TestDead(t *testing.T) {
	long := `"` + strings.Repeat("é", 5000) + `"`
	run(t, true, nil, func(t *testing.T, b *bench) {
		for id, object := range []string{`{"a":1}`, long, "\xff"} {
			s := result(chunk.ID(id))
			s.Counts, s.Outputs, s.DeadCount = []int{0, 1}, []byte("{}\n"), 1
			s.Dead = chunk.DeadLetter{
				Ordinal: s.First, Chunk: s.Chunk, Error: "no " + object, Attempts: 2, Mapper: "m", Version: "v3", Object: []byte(object),
			}.Append(nil)
			b.want(sign(s), wire.SaveCommitted)
		}
		first := b.ask(wire.Sync{Op: wire.SyncDead, Plan: plan.ID(), Fetcher: "f1", Epoch: 1, From: 1 << 40, Limit: 2}).Dead
		if first == nil || len(first.Letters) != 2 || first.Before != 1 {
			t.Fatalf("got %+v, want two dead letters and more below chunk 1", first)
		}
		if d := first.Letters[0]; d.Object != "\uFFFD" || d.Bytes != 1 || d.Chunk != 2 || d.Ordinal != 4 || d.Attempts != 2 || d.Version != "v3" {
			t.Errorf("newest dead letter: got %+v", d)
		}
		if d := first.Letters[1]; len(d.Object) > 2048 || !utf8.ValidString(d.Object) || !strings.HasPrefix(long, d.Object) || len(d.Error) > 2048 || d.Bytes != len(long) {
			t.Errorf("long dead letter: got %+v", d)
		}
		second := b.ask(wire.Sync{Op: wire.SyncDead, Plan: plan.ID(), Fetcher: "f1", Epoch: 1, From: first.Before, Limit: 2}).Dead
		if second == nil || len(second.Letters) != 1 || second.Before != 0 || second.Letters[0].Object != `{"a":1}` {
			t.Errorf("second page: got %+v, want the last dead letter", second)
		}
		if a := b.ask(wire.Sync{Op: wire.SyncDead, Plan: plan.ID(), Fetcher: "f1", Epoch: 9, From: 1, Limit: 2}); a.Status != wire.SyncFenced {
			t.Errorf("request of another plan: got %+v", a)
		}
	})
}
