package mapper_test

import (
	"testing"
	"time"

	"github.com/chunkline/chunkline/internal/mapper"
	"github.com/chunkline/chunkline/internal/wire"
)

// A result is sent until it is committed, with pauses, whatever the saver says.
func TestBusy(t *testing.T) {
	run(t, mapper.Config{Transform: "users", Workers: 1}, func(t *testing.T, b *bench) {
		r, _ := b.next()
		reply(t, r, work(0).Encode())
		begin := time.Now()
		for range 20 {
			r, _ := b.save()
			reply(t, r, wire.SaveAnswer{Statuses: []wire.SaveStatus{wire.SaveBusy}, Reason: "full"}.Encode())
		}
		if took := time.Since(begin); took < 10*time.Second || took > time.Minute {
			t.Errorf("20 tries took %s, want pauses that grow to 2s", took)
		}
		b.save()        // this one gets no answer
		r, _ = b.save() // and is sent again
		b.wantHeld(0)
		reply(t, r, wire.SaveAnswer{Plan: plan.ID(), Statuses: []wire.SaveStatus{wire.SaveDuplicate}}.Encode())
		b.wantHeld()
	})
}
