package fetcher

import (
	"context"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/ledger"
	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/internal/rollout"
	"github.com/chunkline/chunkline/internal/wire"
)

// maxShadowed bounds how many copies wait for a mapper of the shadow version. If its mappers are too few or too slow,
// the oldest copies are dropped and less is compared.
const maxShadowed = 64

// shadowQueue holds copies of saved chunks that wait for a mapper of the shadow version. They are not in the ledger, so
// they never affect the job.
type shadowQueue struct {
	sent    uint64 // copies
	waiting []outgoing
	bytes   int // of the waiting chunks
}

// add queues a copy of a saved piece. All copies together take at most most bytes.
func (s *shadowQueue) add(p chunk.Piece, h *held, most int64) {
	s.waiting = append(s.waiting, outgoing{lease: ledger.Lease{Piece: p, Attempt: 1}, chunk: h.chunk, mark: h.mark, digest: h.digest, of: h.count, bytes: h.bytesOf(p)})
	s.bytes += bodySize(h.chunk)
	for len(s.waiting) > maxShadowed || int64(s.bytes) > most {
		s.removeOldest()
	}
}

func (s *shadowQueue) removeOldest() outgoing {
	first := s.waiting[0]
	s.waiting = s.waiting[1:]
	s.bytes -= bodySize(first.chunk)
	return first
}

// bodySize returns the memory of a copy: 0 if the source is read again.
func bodySize(c *chunk.Chunk) int {
	if c == nil {
		return 0
	}
	return len(c.Body)
}

// isShadow reports whether a mapper has the shadow version.
func (c *coordinator) isShadow(m *mapper) bool {
	return m != nil && c.rollout.Shadow.Covers(m.Version)
}

// sendShadowCopies answers waiting mappers of the shadow version with copies.
func (c *coordinator) sendShadowCopies() {
	for len(c.shadow.waiting) > 0 && len(c.f.sends) < cap(c.f.sends) && c.f.mayGoOut(c.largest) && c.state == report.StateRunning && !c.paused {
		sent := c.waiting.first(func(a ask) bool {
			m := c.mappers[a.mapper]
			if !c.isShadow(m) || m.mixes() {
				return false
			}
			s := sending{request: a.request, mapper: m.Mapper, term: c.terms[m.Version], shadow: true}
			s.add(c.shadow.removeOldest())
			c.f.memory.out.Add(int64(s.bytes))
			c.f.sends <- s
			m.of.transform = m.Transform
			c.shadow.sent++
			return true
		})
		if !sent {
			return
		}
	}
}

// setShadow begins a shadow run, or ends the current one if the share is 0.
func (c *coordinator) setShadow(s rollout.Shadow) {
	if s.Share == 0 {
		s = rollout.Shadow{}
	}
	c.rollout.Shadow, c.shadow = s, shadowQueue{}
}

// shadowStatus returns the shadow run's part of the status; nil if there is none.
func (c *coordinator) shadowStatus() *report.ShadowStatus {
	s := c.rollout.Shadow
	if s.Version == "" {
		return nil
	}
	return &report.ShadowStatus{Version: s.Version, Share: s.Share, HandedOut: c.shadow.sent}
}

// workers counts the mappers that get regular chunks, and their waiting requests.
func (c *coordinator) workers() (mappers, waiting int) {
	mappers, waiting = len(c.mappers), c.waiting.len()
	if c.rollout.Shadow.Version == "" {
		return mappers, waiting
	}
	for id, m := range c.mappers {
		if c.isShadow(m) {
			mappers--
			waiting -= len(c.waiting.of[id])
		}
	}
	return mappers, waiting
}

// Shadow asks the saver for the comparison of the shadow run's results.
func (f *Fetcher) Shadow(ctx context.Context) (report.ShadowReport, error) {
	if !f.serving.Load() {
		return report.ShadowReport{}, ErrNotRunning
	}
	answer, err := f.ask(ctx, f.question(wire.SyncShadow))
	switch {
	case err != nil:
		return report.ShadowReport{}, err
	case answer.Status != wire.SyncOK || answer.Shadow == nil:
		return report.ShadowReport{}, refusal(answer)
	}
	return *answer.Shadow, nil
}
