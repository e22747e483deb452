package fetcher

import (
	"context"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/chunkline/chunkline/internal/report"
)

const (
	progressInterval = 10 * time.Second // between lines while the job progresses
	standingInterval = time.Minute      // between lines while it does not
)

// LogAlone makes the fetcher log the progress of the job, and why the result could not be merged at first. Programs
// that run other roles in the same process show this themselves. Call it before Run.
func (f *Fetcher) LogAlone() { f.logsAlone = true }

// startProgress logs the progress until ctx ends or stop is called, which waits for the last line. The logger is the
// one from before the claim, because the claim replaces f.log.
func (f *Fetcher) startProgress(ctx context.Context) (stop func()) {
	if !f.logsAlone {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	lines := progressLog{log: f.log, last: time.Now()}
	var logging sync.WaitGroup
	logging.Go(func() {
		tick := time.NewTicker(progressInterval)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				lines.turn(time.Now(), f.Status())
			case <-ctx.Done():
				return
			}
		}
	})
	return func() { cancel(); logging.Wait() }
}

// progressLog decides when a line is due: each progressInterval if objects were saved, and each standingInterval if
// none were.
type progressLog struct {
	log  zerolog.Logger
	last time.Time // of the last line
	said uint64    // saved objects in the last line
}

func (p *progressLog) turn(now time.Time, s report.Status) {
	stands := s.Objects.Saved == p.said
	switch {
	case s.State == report.StateDone || s.State == report.StateFailed || s.State == report.StateCancelled: // the end has its own line
		return
	case stands && now.Sub(p.last) < standingInterval:
		return
	}
	p.last, p.said = now, s.Objects.Saved
	line := p.log.Info().Str("state", string(s.State)).Uint64("objects", s.Objects.Saved).Uint64("dead", s.Objects.Dead).
		Float64("percent", math.Floor(1000*s.Progress)/10).Float64("rate", math.Round(10*s.Rate)/10).Int("mappers", len(s.Mappers))
	if s.ETASeconds != nil {
		line = line.Stringer("left", time.Duration(*s.ETASeconds*float64(time.Second)).Round(time.Second))
	}
	if stands {
		line.Str("waits_for", waitsFor(s)).Msg("no progress")
		return
	}
	line.Msg("progress")
}

// waitsFor returns the reason why the job waits according to its status, or else how many chunks are in flight.
func waitsFor(s report.Status) string {
	if s.Bottleneck != nil {
		return s.Bottleneck.Text
	}
	return fmt.Sprintf("%d chunks in flight, and none of them is saved yet", s.Chunks.InFlight)
}
