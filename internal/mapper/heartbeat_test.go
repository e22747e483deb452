package mapper_test

import (
	"slices"
	"testing"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/mapper"
	"github.com/chunkline/chunkline/internal/wire"
)

// TestBeatFailed: beats say how many objects of a chunk have failed until it is saved.
func TestBeatFailed(t *testing.T) {
	run(t, mapper.Config{Transform: "users", Workers: 1}, func(t *testing.T, b *bench) {
		r, _ := b.next()
		w := work(4)
		w.Grant[0].Chunk.Body = []byte("1\n2\n")
		w.Grant[0].Digest = w.Grant[0].Chunk.Digest()
		reply(t, r, w.Encode())
		r, _ = b.save()
		if beat := b.last(); beat.Failed == nil || *beat.Failed != (wire.Failed{Chunk: 4, Objects: 2}) || beat.FailedReason == "" {
			t.Errorf("a heartbeat has the failed objects %+v (%q), want both objects of chunk 4", beat.Failed, beat.FailedReason)
		}
		reply(t, r, wire.SaveAnswer{Plan: plan.ID(), Statuses: []wire.SaveStatus{wire.SaveCommitted}}.Encode())
		b.heard()
		if beat := b.last(); beat.Failed != nil {
			t.Errorf("a heartbeat has the failed objects %+v, want none: the chunk is saved", beat.Failed)
		}
	})
}

// In careful mode each object is announced, and in the end that none is in
// work any more; objects to skip are not touched.
func TestCareful(t *testing.T) {
	run(t, mapper.Config{Transform: "users", Workers: 1}, func(t *testing.T, b *bench) {
		r, _ := b.next()
		w := work(4)
		w.Grant[0].Careful, w.Grant[0].Skip = true, []chunk.Flaw{{Index: 0, Reason: "2 mappers vanished while this object was in work"}}
		b.heard()
		reply(t, r, w.Encode())
		var doing []wire.Doing
		for _, beat := range b.heard() {
			if beat.Doing != nil {
				doing = append(doing, *beat.Doing)
			}
		}
		if want := []wire.Doing{{Chunk: 4, Index: 1}, {Chunk: 4, Index: 2}}; !slices.Equal(doing, want) {
			t.Errorf("announced %v, want %v", doing, want)
		}
		_, s := b.save()
		letter, err := chunk.ParseDeadLetter(s.Dead)
		if err != nil || s.DeadCount != 1 || letter.Ordinal != 8 || letter.Error != "2 mappers vanished while this object was in work" || !slices.Equal(s.Counts, []int{0, 1}) {
			t.Errorf("result is %+v, dead letter %+v (%v)", s, letter, err)
		}
	})
}
