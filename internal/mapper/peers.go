package mapper

import (
	"context"
	"errors"
	"time"

	"github.com/rs/zerolog"

	"github.com/chunkline/chunkline/internal/app"
	"github.com/chunkline/chunkline/internal/bus"
)

// repeatTime is how often a mapper says what it waits for. Whoever has joined a job by
// hand looks at its terminal now and then.
const repeatTime = time.Minute

// peers remembers what does not answer, so that it is logged once and its
// return once, however many workers notice.
type peers struct {
	fetcher, saver *app.Trouble
	refusal        *app.Trouble // the fetcher answers, and refuses
	beats          *app.Trouble
	room           *app.Trouble // results that wait for the saver fill their memory
}

func newPeers(log zerolog.Logger) *peers {
	trouble := func(level zerolog.Level, begins, ends string) *app.Trouble {
		return app.NewTrouble(log, level, app.Patience, begins, ends)
	}
	return &peers{
		fetcher: trouble(zerolog.WarnLevel, "no answer from the fetcher, trying on", "the fetcher answers again").Repeat(repeatTime),
		saver:   trouble(zerolog.WarnLevel, "no answer from the saver, trying on", "the saver answers again").Repeat(repeatTime),
		refusal: trouble(zerolog.WarnLevel, "the fetcher refuses work, asking on", "the fetcher refuses work no longer"),
		room:    trouble(zerolog.WarnLevel, "asking for no more chunks until the saver takes results", "asking for chunks again"),
		beats:   trouble(zerolog.DebugLevel, "beats are not sent", "beats are sent again"),
	}
}

// heard notes how a request to a role ended.
func heard(of *app.Trouble, err error) {
	if errors.Is(err, context.Canceled) { // we gave up, which says nothing of the role
		return
	}
	if errors.Is(err, bus.ErrBusy) { // it answers, and has no room yet
		err = nil
	}
	of.Note(err)
}

// missing names a role that has not answered for a while.
func (p *peers) missing() string {
	switch {
	case p.fetcher.Lasts():
		return "fetcher"
	case p.saver.Lasts():
		return "saver"
	}
	return ""
}
