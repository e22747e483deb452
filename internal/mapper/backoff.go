package mapper

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/rs/zerolog"

	"github.com/chunkline/chunkline/internal/app"
	"github.com/chunkline/chunkline/internal/bus"
)

const (
	minPause  = 50 * time.Millisecond
	maxPause  = 2 * time.Second
	donePause = 2 * time.Second // between requests for work once the job is done

	// repeatTime is how long an outage lasts before a mapper logs it again. A person who has joined a job by hand may
	// look at the terminal only occasionally.
	repeatTime = time.Minute
)

// backoff is a pause that doubles from minPause to maxPause, with jitter so that many workers do not come back at once.
type backoff struct {
	last time.Duration
	dice *rand.Rand
}

// backoff begins a series of pauses. The mapper's ID seeds their jitter, so that a simulation can be repeated.
func (m *Mapper) backoff(series uint64) backoff {
	return backoff{dice: rand.New(rand.NewPCG(m.jitter, series))}
}

func (b *backoff) reset() { b.last = 0 }

// next returns the next pause: the last one doubled, times a random factor from 0.5 to 1.5.
func (b *backoff) next() time.Duration {
	b.last = min(max(2*b.last, minPause), maxPause)
	return b.last/2 + time.Duration(b.dice.Int64N(int64(b.last)))
}

// sleep waits for d, until ctx ends or until sooner is closed. A nil sooner is never closed.
func sleep(ctx context.Context, d time.Duration, sooner <-chan struct{}) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-sooner:
	case <-ctx.Done():
	}
}

// outages logs each outage once when it begins and once when it ends, however many workers notice it.
type outages struct {
	fetcher, saver *app.Trouble // no answer
	refusal        *app.Trouble // the fetcher answers, but refuses to give work
	beats          *app.Trouble // heartbeats cannot be published
	memory         *app.Trouble // waiting results fill the memory
}

func newOutages(log zerolog.Logger) *outages {
	trouble := func(level zerolog.Level, begins, ends string) *app.Trouble {
		return app.NewTrouble(log, level, app.Patience, begins, ends)
	}
	return &outages{
		fetcher: trouble(zerolog.WarnLevel, "no answer from the fetcher, still trying", "the fetcher answers again").Repeat(repeatTime),
		saver:   trouble(zerolog.WarnLevel, "no answer from the saver, still trying", "the saver answers again").Repeat(repeatTime),
		refusal: trouble(zerolog.WarnLevel, "the fetcher refuses work, still asking", "the fetcher no longer refuses work"),
		memory:  trouble(zerolog.WarnLevel, "asking for no more chunks until the saver takes results", "asking for chunks again"),
		beats:   trouble(zerolog.DebugLevel, "heartbeats are not sent", "heartbeats are sent again"),
	}
}

// noteRequest records the outcome of a request to the fetcher or the saver.
func noteRequest(to *app.Trouble, err error) {
	if errors.Is(err, context.Canceled) { // the mapper stopped waiting: there may have been an answer
		return
	}
	if errors.Is(err, bus.ErrBusy) { // the other side answered that it has no room yet
		err = nil
	}
	to.Note(err)
}
