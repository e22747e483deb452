package saver

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/sync/errgroup"

	"github.com/chunkline/chunkline/internal/app"
	"github.com/chunkline/chunkline/internal/bus"
	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/failpoint"
	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/wire"
)

const (
	maxSyncs = 64   // questions that wait; each fetcher asks one at a time
	maxList  = 8192 // chunks on one page: 30 bytes for each piece
)

// handleSync queues a question of the fetcher. If the queue is full, the question is dropped, and the fetcher asks
// again.
func (s *Saver) handleSync(r *bus.Request) {
	select {
	case s.syncs <- r:
	default:
		s.strange.Warn().Msg("dropped a sync question: too many at once")
	}
}

// syncLoop answers the fetcher's questions, one at a time, until syncs is closed
// or ctx ends. Then it ends the merge: it may take long, and the next one begins anew.
func (s *Saver) syncLoop(ctx context.Context) error {
	merging := new(errgroup.Group) // at most one member at a time
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	for {
		select {
		case r, open := <-s.syncs:
			if !open {
				stop()
				return merging.Wait()
			}
			s.handle(ctx, merging, r)
		case <-ctx.Done():
			return merging.Wait()
		}
	}
}

func (s *Saver) handle(ctx context.Context, merging *errgroup.Group, r *bus.Request) {
	failpoint.Hit("saver.sync.received")
	question, err := wire.DecodeSync(r.Message)
	if err != nil {
		// Not SyncFailed, which would be an answer about the sink: the question could not be decoded.
		s.strange.Warn().Err(err).Msg("refused a sync question")
		if err := r.Refuse(err); err != nil {
			s.log.Debug().Err(err).Msg("answer to the fetcher was lost")
		}
		return
	}
	s.reply(r, s.answerSync(ctx, merging, question))
	failpoint.Hit("saver.sync.answered")
}

func (s *Saver) reply(r *bus.Request, a wire.SyncAnswer) {
	a.Plan, a.Sink = s.planID(), s.sinkID()
	if err := r.Reply(a.Encode()); err != nil {
		s.log.Debug().Err(err).Msg("answer to the fetcher was lost")
	}
}

func (s *Saver) answerSync(ctx context.Context, merging *errgroup.Group, q wire.Sync) wire.SyncAnswer {
	if q.Op == wire.SyncClaim {
		return s.claim(ctx, q)
	}
	err := s.sink.Refresh(ctx) // another saver of the sink may have answered the claim
	switch {
	case q.Op == wire.SyncFinish && errors.Is(err, sink.ErrUnreachable): // a few failures of the merge end the job
		return s.mergeLater(err)
	case err != nil:
		return wire.SyncAnswer{Status: wire.SyncFailed, Reason: err.Error()}
	case s.planID() != q.Plan:
		return wire.SyncAnswer{Status: wire.SyncOtherPlan, Reason: s.otherPlan()}
	case q.Epoch != s.sink.Epoch():
		return wire.SyncAnswer{Status: wire.SyncFenced, Epoch: s.sink.Epoch(), Reason: "a newer fetcher has claimed the job"}
	case q.Op == wire.SyncList:
		return s.list(ctx, q)
	case q.Op == wire.SyncFinish:
		return s.finishUp(ctx, merging, q.Epoch, q.Total)
	case q.Op == wire.SyncDead:
		return s.dead(ctx, q)
	case q.Op == wire.SyncFence:
		return s.fenceVersion(ctx, q)
	case q.Op == wire.SyncShadow:
		return wire.SyncAnswer{Status: wire.SyncOK, Epoch: q.Epoch, Shadow: s.shadows.report()}
	}
	return wire.SyncAnswer{Status: wire.SyncFailed, Reason: fmt.Sprintf("unknown operation %q", q.Op)}
}

func (s *Saver) claim(ctx context.Context, q wire.Sync) wire.SyncAnswer {
	grant, err := s.sink.Claim(ctx, *q.Claim, q.Fetcher)
	switch {
	case errors.Is(err, sink.ErrOtherPlan):
		return wire.SyncAnswer{Status: wire.SyncOtherPlan, Reason: err.Error()}
	case errors.Is(err, sink.ErrFenced):
		return wire.SyncAnswer{Status: wire.SyncFenced, Epoch: s.sink.Epoch(), Reason: err.Error()}
	case err != nil:
		s.trouble.claim.Note(err)
		return wire.SyncAnswer{Status: wire.SyncFailed, Reason: err.Error()}
	}
	s.trouble.claim.Note(nil)
	failpoint.Hit("saver.claim.recorded")
	s.log.Info().Uint64("epoch", grant.Epoch).Str("fetcher_id", q.Fetcher).Str("plan", string(q.Claim.ID())).Msg("job claimed")
	return wire.SyncAnswer{Status: wire.SyncOK, Epoch: grant.Epoch, Key: grant.Key, Past: wire.VersionPast{Terms: grant.Terms, Transforms: grant.Transforms}, Summary: s.summary()}
}

// fenceVersion makes the sink refuse results of the version's earlier leases.
func (s *Saver) fenceVersion(ctx context.Context, q wire.Sync) wire.SyncAnswer {
	if err := s.sink.FenceVersion(ctx, q.Version, q.Term); err != nil {
		return wire.SyncAnswer{Status: wire.SyncFailed, Reason: err.Error()}
	}
	s.log.Warn().Str("mapper_version", q.Version).Msg("version is fenced: results of chunks that it got before are refused")
	return wire.SyncAnswer{Status: wire.SyncOK, Epoch: q.Epoch, Summary: s.summary()}
}

func (s *Saver) list(ctx context.Context, q wire.Sync) wire.SyncAnswer {
	var entries []sink.Entry
	var err error
	if q.Chunks != nil {
		entries, err = s.sink.Has(ctx, q.Chunks)
	} else {
		entries, err = s.sink.List(ctx, q.From, min(q.Limit, maxList))
	}
	if err != nil {
		return wire.SyncAnswer{Status: wire.SyncFailed, Reason: err.Error()}
	}
	return wire.SyncAnswer{Status: wire.SyncOK, Epoch: q.Epoch, Entries: entries, Summary: s.summary(), Load: s.load()}
}

// maxShown bounds how much of an object, and of its error, is shown to people.
const maxShown = 2048 // bytes

// dead answers with a page of dead letters, shortened for people.
func (s *Saver) dead(ctx context.Context, q wire.Sync) wire.SyncAnswer {
	lines, next, err := s.sink.DeadBelow(ctx, q.From, q.Limit)
	if err != nil {
		return wire.SyncAnswer{Status: wire.SyncFailed, Reason: err.Error()}
	}
	page := &report.DeadPage{Before: next}
	for line := range strings.Lines(string(lines)) {
		if len(page.Letters) == report.MaxDead { // a very large chunk has more dead letters than a page holds
			break
		}
		d, err := chunk.ParseDeadLetter([]byte(line))
		if err != nil {
			return wire.SyncAnswer{Status: wire.SyncFailed, Reason: err.Error()}
		}
		page.Letters = append(page.Letters, report.DeadLetter{
			Ordinal: d.Ordinal, Chunk: d.Chunk, Error: shown(d.Error), Attempts: d.Attempts, Mapper: d.Mapper, Version: d.Version,
			Object: shown(string(d.Object)), Bytes: len(d.Object),
		})
	}
	return wire.SyncAnswer{Status: wire.SyncOK, Epoch: q.Epoch, Dead: page}
}

// shown returns the beginning of a text, in whole characters.
func shown(text string) string {
	return wire.Clip(text[:min(len(text), maxShown+utf8.UTFMax)], maxShown)
}

// sinkID returns the sink's identity, by which the fetcher distinguishes another sink from its own. It is empty if the
// sink has none.
func (s *Saver) sinkID() wire.SinkID {
	id, at := s.sink.Identity()
	if id == "" && at == "" {
		return wire.SinkID{}
	}
	return wire.SinkID{ID: id, At: app.Hostname() + ":" + at}
}

// summary returns what the sink holds so far.
func (s *Saver) summary() report.Summary {
	held := s.sink.Summary()
	return report.Summary{
		Chunks: held.Chunks, Objects: held.Objects, Outputs: held.Outputs, OutputBytes: held.OutputBytes,
		Dead: held.Dead, Output: held.Output, DeadFile: held.DeadFile,
	}
}
