package mapper

import (
	"context"
	"time"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/failpoint"
	"github.com/chunkline/chunkline/internal/wire"
)

const (
	beatInterval = time.Second     // the fetcher suspects a mapper after 2 s of silence
	flushTimeout = 3 * time.Second // a server that has not taken an announcement by then is frozen
)

// beatLoop publishes a heartbeat every second until ctx ends.
func (m *Mapper) beatLoop(ctx context.Context) {
	tick := time.NewTicker(beatInterval)
	defer tick.Stop()
	for {
		m.pulse.Beat()
		m.outages.beats.Note(m.beat(nil, false))
		failpoint.Hit("mapper.beat.sent")
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// beat publishes one heartbeat: what this mapper holds, what has failed so far, and the object that a worker is about
// to touch, if doing names one.
func (m *Mapper) beat(doing *wire.Doing, goodbye bool) error {
	beat := m.state.beat(m.task.Load().self, doing, goodbye)
	m.failures.addTo(&beat)
	return m.bus.Publish(wire.VerbBeat, beat.Encode())
}

// announce publishes which object a worker is about to touch, and waits until the NATS server has the message. If the
// object crashes this process, the fetcher knows which one it was. While there is no connection to NATS announce keeps
// trying, so it fails only when ctx ends.
func (m *Mapper) announce(ctx context.Context, id chunk.ID, index int) error {
	pause := m.backoff(uint64(id))
	for try := 1; ctx.Err() == nil; try++ {
		err := m.beat(&wire.Doing{Chunk: id, Index: index}, false)
		failpoint.Hit("mapper.announce.sent")
		if err == nil {
			err = m.flush(ctx)
		}
		if err == nil {
			failpoint.Hit("mapper.announce.flushed")
			return nil
		}
		if try == 1 {
			m.log.Debug().Err(err).Uint64("chunk", uint64(id)).Msg("object could not be announced")
		}
		sleep(ctx, pause.next(), nil)
	}
	return ctx.Err()
}

func (m *Mapper) flush(ctx context.Context) error {
	ctx, done := context.WithTimeout(ctx, flushTimeout)
	defer done()
	return m.bus.Flush(ctx)
}
