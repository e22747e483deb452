package fetcher

import (
	"time"

	"github.com/rs/zerolog"
)

const (
	crowdLines = 20 // of each kind in crowdTime; the rest is counted
	crowdTime  = time.Minute
)

// A crowd writes the log of mappers that come, go or get no work. A mapper is whoever
// says that it is one, so there may be as many as somebody likes to invent: each has its
// line while they are few, and the others have one a minute together.
type crowd struct {
	log   zerolog.Logger
	since time.Time // zero: nothing was said for a while

	came, went, lost, refused tally // lost: went, with chunks
}

// A tally counts what was said in this minute, and what was not.
type tally struct{ lines, unsaid int }

// may says whether there may be a line of this kind.
func (c *crowd) may(now time.Time, of *tally) bool {
	if c.since.IsZero() {
		c.since = now
	}
	if of.lines == crowdLines {
		of.unsaid++
		return false
	}
	of.lines++
	return true
}

func (c *crowd) comes(now time.Time, m *mapper) {
	if c.may(now, &c.came) {
		m.named(c.log.Info()).Msg("mapper is here")
	}
}

// goes says why a mapper is gone, and what becomes of its chunks, if it held any.
func (c *crowd) goes(now time.Time, m *mapper, why string) {
	switch {
	case m.held > 0 && c.may(now, &c.lost):
		m.named(c.log.Warn()).Int("chunks", m.held).Msgf("mapper %s: its chunks go to others", why)
	case m.held == 0 && c.may(now, &c.went):
		m.named(c.log.Info()).Msgf("mapper %s; it held no chunk", why)
	}
}

func (c *crowd) refuses(now time.Time, m *mapper) {
	if c.may(now, &c.refused) {
		m.named(c.log.Warn()).Str("transform", m.Transform).Msg("mapper gets no work: " + m.refused)
	}
}

// turn says, at the end of a minute, what had no line.
func (c *crowd) turn(now time.Time) {
	if c.since.IsZero() || now.Sub(c.since) < crowdTime {
		return
	}
	if c.came.unsaid+c.went.unsaid+c.lost.unsaid+c.refused.unsaid > 0 {
		c.log.Info().Int("came", c.came.unsaid).Int("went", c.went.unsaid).Int("went_with_chunks", c.lost.unsaid).Int("refused", c.refused.unsaid).
			Msg("many mappers came, went or got no work within a minute: these had no line of their own")
	}
	*c = crowd{log: c.log}
}

func (m *mapper) named(e *zerolog.Event) *zerolog.Event {
	return e.Str("mapper", m.Name).Str("mapper_id", m.ID).Str("mapper_version", m.Version)
}
