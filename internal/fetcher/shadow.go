package fetcher

import (
	"context"
	"fmt"
	"strings"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/ledger"
	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/internal/wire"
)

// maxShadowed bounds how many chunks wait for a mapper that shadows. If they are too few
// or too slow the oldest go: less is compared.
const maxShadowed = 64

// ShadowRun says which version gets copies of chunks, and of what share of them.
type ShadowRun struct {
	Version string // "": none; with * at its end all whose names begin so
	Share   float64
}

// of says whether a version is one that shadows. A lone * names none: nobody would be
// left to work.
func (s ShadowRun) of(version string) bool {
	if begin, many := strings.CutSuffix(s.Version, "*"); many && begin != "" {
		return strings.HasPrefix(version, begin)
	}
	return s.Version != "" && version == s.Version
}

// Decode implements envconfig.Decoder: VERSION=SHARE.
func (s *ShadowRun) Decode(text string) error {
	var shares Shares
	if err := shares.Decode(text); err != nil {
		return err
	}
	if len(shares) > 1 {
		return fmt.Errorf("%q: want one VERSION=SHARE", text)
	}
	*s = ShadowRun{}
	for version, share := range shares {
		*s = ShadowRun{Version: version, Share: share}
	}
	return nil
}

// shadow is the shadow run: a version whose mappers get chunks that are saved
// already, for their results to be compared with what is saved. They get no
// others, and what becomes of these concerns no ledger: whatever goes wrong with
// a shadow, the job does not notice.
type shadow struct {
	ShadowRun
	given uint64 // chunks
	queue []sending
	bytes int
}

// offer notes that a chunk is saved, of which a copy may go to the version that shadows.
// Their bodies may take so many bytes.
func (s *shadow) offer(id chunk.ID, h *held, most int64) {
	if s.Version == "" || !sampled(id, s.Share) {
		return
	}
	s.queue = append(s.queue, sending{lease: ledger.Lease{ID: id, Attempt: 1}, chunk: h.chunk, mark: h.mark, digest: h.digest, bytes: h.bytes, shadow: true})
	s.bytes += bodySize(h.chunk)
	for len(s.queue) > maxShadowed || int64(s.bytes) > most {
		s.take()
	}
}

// take removes the oldest chunk.
func (s *shadow) take() sending {
	first := s.queue[0]
	s.queue = s.queue[1:]
	s.bytes -= bodySize(first.chunk)
	return first
}

func bodySize(c *chunk.Chunk) int {
	if c == nil {
		return 0
	}
	return len(c.Body)
}

// sampled says whether a chunk belongs to a share of all: always the same ones, and
// spread evenly (Knuth's multiplicative hash, The Art of Computer Programming 6.4).
func sampled(id chunk.ID, share float64) bool {
	const golden = 0x9E3779B97F4A7C15 // 2^64 divided by the golden ratio
	return float64((uint64(id)+1)*golden>>11)/(1<<53) < share
}

// shadows says whether a mapper is of the version that shadows.
func (d *desk) shadows(m *mapper) bool {
	return m != nil && d.shadow.of(m.Version)
}

// handOutShadows gives saved chunks to waiting mappers of the version that shadows.
func (d *desk) handOutShadows() {
	for len(d.shadow.queue) > 0 && len(d.f.sends) < cap(d.f.sends) && d.f.mayGoOut(d.largest) && d.state == report.StateRunning && !d.paused {
		given := d.waiting.first(func(a ask) bool {
			m := d.mappers[a.mapper]
			if !d.shadows(m) || m.mixes() {
				return false
			}
			s := d.shadow.take()
			s.request, s.mapper, s.term = a.request, m.Mapper, d.terms[m.Version]
			d.f.memory.out.Add(int64(s.bytes))
			d.f.sends <- s
			m.of.transform = m.Transform
			d.shadow.given++
			return true
		})
		if !given {
			return
		}
	}
}

// setShadow begins or ends a shadow run.
func (d *desk) setShadow(run ShadowRun) {
	if run.Share == 0 {
		run = ShadowRun{}
	}
	d.shadow = shadow{ShadowRun: run}
}

// shadowStatus is what the status says of the shadow run; nil if there is none.
func (d *desk) shadowStatus() *report.ShadowStatus {
	if d.shadow.Version == "" {
		return nil
	}
	return &report.ShadowStatus{Version: d.shadow.Version, Share: d.shadow.Share, HandedOut: d.shadow.given}
}

// workers counts the mappers that get chunks to be saved, and those of their
// requests that wait.
func (d *desk) workers() (mappers, waiting int) {
	mappers, waiting = len(d.mappers), d.waiting.len()
	if d.shadow.Version == "" {
		return mappers, waiting
	}
	for id, m := range d.mappers {
		if d.shadows(m) {
			mappers--
			waiting -= len(d.waiting.of[id])
		}
	}
	return mappers, waiting
}

// Shadow asks the saver what came of comparing.
func (f *Fetcher) Shadow(ctx context.Context) (report.ShadowReport, error) {
	if !f.serving.Load() {
		return report.ShadowReport{}, ErrNotRunning
	}
	answer, err := f.ask(ctx, wire.Sync{Op: wire.SyncShadow, Plan: f.planID, Fetcher: f.bus.ID(), Epoch: f.grant.epoch})
	switch {
	case err != nil:
		return report.ShadowReport{}, err
	case answer.Status != wire.SyncOK || answer.Shadow == nil:
		return report.ShadowReport{}, refusal(answer)
	}
	return *answer.Shadow, nil
}
