package mapper_test

import (
	"slices"
	"testing"

	"github.com/chunkline/chunkline/internal/mapper"
	"github.com/chunkline/chunkline/internal/wire"
)

// A request lists itself; a chunk is on the list from the answer until the
// saver has answered.
func TestLists(t *testing.T) {
	run(t, mapper.Config{Transform: "users?duration=10s", Workers: 2}, func(t *testing.T, b *bench) {
		r1, n1 := b.next()
		_, n2 := b.next()
		if n1.Plan != "" || n1.Epoch != 0 || !slices.Contains(n1.Asking, n1.Seq) || !slices.Contains(n2.Asking, n2.Seq) || len(n1.Held) != 0 {
			t.Fatalf("first requests are %+v and %+v, want each to list itself", n1, n2)
		}
		reply(t, r1, work(7).Encode())
		beat := b.last()
		if !slices.Equal(beat.Held, whole(7)) || !slices.Equal(beat.Asking, []uint64{n2.Seq}) || beat.Epoch != 3 || beat.Plan != plan.ID() {
			t.Errorf("beat is %+v, want chunk 7 held and one request open", beat)
		}
		r, s := b.save()
		want := work(7).Grant[0]
		if s.Token != want.Token || s.Digest != want.Digest || s.First != 14 || s.Objects != 2 || s.Mapper.Version != "v1" ||
			string(s.Outputs) != `{"id":"a","name":"b c"}`+"\n"+`{"id":"d","name":"e f"}`+"\n" {
			t.Errorf("result is %+v", s)
		}
		b.wantHeld(7)
		reply(t, r, wire.SaveAnswer{Plan: plan.ID(), Statuses: []wire.SaveStatus{wire.SaveCommitted}}.Encode())
		b.wantHeld()
	})
}
