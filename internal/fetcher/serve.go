package fetcher

import (
	"context"
	"fmt"
	"time"

	"github.com/chunkline/chunkline/internal/app"
	"github.com/chunkline/chunkline/internal/bus"
	"github.com/chunkline/chunkline/internal/failpoint"
	"github.com/chunkline/chunkline/internal/wire"
)

// serve subscribes to the messages of mappers, savers and operators. There is no queue group: after a takeover both
// fetchers get each heartbeat, which shows the older one that it was replaced.
func (f *Fetcher) serve(ctx context.Context) (stop func(context.Context) error, err error) {
	ctx, cancel := context.WithCancel(ctx) // ends handlers that wait for a coordinator that has ended
	stopServing, err := f.bus.Serve(bus.Service{
		Name: "fetcher", Version: app.Version(), Description: "hands out the chunks of job " + f.bus.Job(),
		Endpoints: []bus.Endpoint{
			{Verb: wire.VerbNext, Handle: func(r *bus.Request) { f.handleNext(ctx, r) }},
			{Verb: wire.VerbBeat, Handle: func(r *bus.Request) { f.handleBeat(ctx, r) }},
			{Verb: wire.VerbSaved, Handle: func(r *bus.Request) { f.handleSaved(ctx, r) }},
			{Verb: wire.VerbStatus, Handle: f.handleStatus},
			{Verb: wire.VerbControl, Handle: func(r *bus.Request) { f.handleControl(ctx, r) }},
		},
	})
	if err != nil {
		cancel()
		return nil, fmt.Errorf("serve fetcher: %w", err)
	}
	f.log.Info().Msg("fetcher serves")
	return func(stopping context.Context) error { cancel(); return stopServing(stopping) }, nil
}

func (f *Fetcher) handleNext(ctx context.Context, r *bus.Request) {
	arrived := time.Now()
	next, err := wire.DecodeNext(r.Message)
	if err != nil {
		f.strange.Warn().Err(err).Msg("refused a request for work")
		f.reply(r, wire.Work{Status: wire.WorkRefused, Plan: f.planID, Epoch: f.grant.epoch, Reason: err.Error()}.Encode())
		return
	}
	f.post(ctx, func(c *coordinator) { c.hearNext(arrived, r, next) })
}

func (f *Fetcher) handleBeat(ctx context.Context, r *bus.Request) {
	beat, err := wire.DecodeBeat(r.Message)
	if err != nil {
		f.strange.Warn().Err(err).Msg("ignored a heartbeat")
		return
	}
	f.post(ctx, func(c *coordinator) { c.hearBeat(time.Now(), beat) })
}

func (f *Fetcher) handleSaved(ctx context.Context, r *bus.Request) {
	saved, err := wire.DecodeSaved(f.grant.key, r.Message)
	if err != nil {
		f.strange.Warn().Err(err).Msg("ignored a confirmation")
		return
	}
	failpoint.Hit("fetcher.saved.received")
	f.post(ctx, func(c *coordinator) {
		c.hearSaved(time.Now(), saved)
		failpoint.Hit("fetcher.saved.booked")
		f.reply(r, wire.SavedAnswer{Plan: f.planID}.Encode())
		failpoint.Hit("fetcher.saved.answered")
	})
}

func (f *Fetcher) handleStatus(r *bus.Request) { f.reply(r, wire.EncodeStatus(f.Status())) }

func (f *Fetcher) handleControl(ctx context.Context, r *bus.Request) {
	control, err := wire.DecodeControl(r.Message)
	if err != nil {
		f.answerControl(r, err)
		return
	}
	f.post(ctx, func(c *coordinator) { f.answerControl(r, c.obey(control)) })
}

// answerControl says that an operator's order was carried out, or why not.
func (f *Fetcher) answerControl(r *bus.Request, err error) {
	answer := wire.ControlAnswer{Plan: f.planID, OK: err == nil}
	if err != nil {
		answer.Reason = err.Error()
	}
	f.reply(r, answer.Encode())
}

// sayHello announces to the mappers that this fetcher serves, so that idle mappers ask at once. It is only a hint: a
// mapper that misses it asks after its pause.
func (f *Fetcher) sayHello(ctx context.Context) {
	if err := f.bus.Publish(wire.VerbHello, wire.Hello{Plan: f.planID, Epoch: f.grant.epoch}.Encode()); err != nil {
		f.log.Debug().Err(err).Msg("hello was lost")
	}
	f.post(ctx, func(*coordinator) {}) // makes the coordinator answer requests that waited for the connection
}

// reply answers a request, and reports whether the memory of m's body is free. A lost reply needs no special case,
// because the sender's next list or question reveals it.
func (f *Fetcher) reply(r *bus.Request, m wire.Message) (free bool) {
	free, err := r.ReplyFrom(m)
	if err != nil {
		f.log.Debug().Err(err).Msg("reply was lost")
	}
	return free
}
