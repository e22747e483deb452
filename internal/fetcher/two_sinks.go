package fetcher

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/rs/zerolog"

	"github.com/chunkline/chunkline/internal/app"
	"github.com/chunkline/chunkline/internal/wire"
)

const (
	// rivalTime is how long a saver of another sink counts as running after its last answer. Any saver may answer a
	// question, and the fetcher asks one every 100 ms.
	rivalTime = 10 * time.Second

	// refusals is how many refused claims end the job. Until then, the saver of the job may still answer a claim.
	refusals = 10
)

// savers records which sinks have answered lately. Savers of two sinks would divide the results between them, and each
// would correctly refuse the results that belong to the other.
type savers struct {
	trouble *app.Trouble
	last    wire.SinkID // of the latest answer
	heard   time.Time
	other   wire.SinkID // the one before last
	met     time.Time   // when other answered last
}

func newSavers(log zerolog.Logger) *savers {
	return &savers{trouble: app.NewTrouble(log, zerolog.ErrorLevel, 0, "two savers answer for the job, which waits until one is left", "one saver is left")}
}

// hear records an answer. Of three sinks, the two that answered last count.
func (s *savers) hear(now time.Time, from wire.SinkID) {
	switch {
	case from.ID == "": // an older saver
		return
	case s.last.ID != "" && s.last.ID != from.ID:
		s.other, s.met = s.last, s.heard
	}
	s.last, s.heard = from, now
	if s.rivals(now) {
		s.trouble.Note(errors.New(s.text()))
	} else {
		s.other = wire.SinkID{}
		s.trouble.Note(nil)
	}
}

// rivals reports whether savers of two sinks are running.
func (s *savers) rivals(now time.Time) bool { return s.other.ID != "" && now.Sub(s.met) < rivalTime }

// text names both sinks; "" if there is only one.
func (s *savers) text() string {
	if s.other.ID == "" {
		return ""
	}
	a, b := s.last, s.other
	if cmp.Compare(a.ID, b.ID) > 0 { // so that the order of the names is stable
		a, b = b, a
	}
	return fmt.Sprintf("two savers answer for the job: %s at %s, %s at %s; stop the one that is not the job's", a.ID, a.At, b.ID, b.At)
}

// isRival reports whether sink differs from the sink that this fetcher has claimed.
func (f *Fetcher) isRival(sink wire.SinkID) bool {
	return sink.ID != "" && f.grant.sink.ID != "" && sink.ID != f.grant.sink.ID
}

// rivalry returns why the job waits while a saver of another sink is running; "" if none is.
func (c *coordinator) rivalry(now time.Time) string {
	switch own := c.f.grant.sink; {
	case c.savers.rivals(now):
		return c.savers.text()
	case c.f.isRival(c.savers.last):
		return fmt.Sprintf("another sink answers, %s at %s; the job's is %s at %s: is its saver running?", c.savers.last.ID, c.savers.last.At, own.ID, own.At)
	}
	return ""
}

// hearRival handles an answer of another sink than the job's. If only that sink has answered for rivalTime, the job's
// sink is gone.
func (c *coordinator) hearRival(now time.Time, sink wire.SinkID, empty bool) {
	alone := c.savers.last.ID == sink.ID && !c.savers.rivals(now)
	if c.rivalSince.IsZero() || now.Sub(c.savers.heard) > rivalTime || c.savers.last.ID != sink.ID {
		c.rivalSince = now
	}
	c.savers.hear(now, sink)
	if !alone || now.Sub(c.rivalSince) < rivalTime {
		return
	}
	own := c.f.grant.sink
	if empty {
		c.fail(fmt.Errorf("%w: %s at %s is empty, but the job has saved %d chunks to %s at %s: was its volume lost? Bring it back, or start the fetcher again to begin anew",
			ErrOtherSink, sink.ID, sink.At, c.total.Chunks, own.ID, own.At))
		return
	}
	c.fail(fmt.Errorf("%w: %s at %s, but the job saves to %s at %s: start the saver of the job's sink", ErrOtherSink, sink.ID, sink.At, own.ID, own.At))
}
