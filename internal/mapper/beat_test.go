package mapper_test

import (
	"testing"

	"github.com/chunkline/chunkline/internal/mapper"
	"github.com/chunkline/chunkline/internal/wire"
)

// TestBeatFailed: beats say how many objects of a chunk have failed until it is saved.
func TestBeatFailed(t *testing.T) {
	run(t, mapper.Config{Transform: "users", Workers: 1}, func(t *testing.T, b *bench) {
		r, _ := b.next()
		w := work(4)
		w.Chunk.Body = []byte("1\n2\n")
		w.Digest = w.Chunk.Digest()
		reply(t, r, w.Encode())
		r, _ = b.save()
		if beat := b.last(); beat.Failed == nil || *beat.Failed != (wire.Failed{Chunk: 4, Objects: 2}) || beat.FailedReason == "" {
			t.Errorf("a beat says that %+v have failed (%q), want both objects of chunk 4", beat.Failed, beat.FailedReason)
		}
		reply(t, r, wire.SaveAnswer{Plan: plan.ID(), Status: wire.SaveCommitted}.Encode())
		b.heard()
		if beat := b.last(); beat.Failed != nil {
			t.Errorf("a beat says that %+v have failed, of a chunk that is saved", beat.Failed)
		}
	})
}
