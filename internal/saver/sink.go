package saver

import (
	"context"
	"errors"
	"time"

	"github.com/chunkline/chunkline/internal/app"
	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/sink"
)

// A Sink stores the results of one job, each object's once. A result belongs to a piece: consecutive objects of one
// chunk, usually the whole chunk. The package sink has the kinds of sinks, and their errors; the suite in sinktest
// checks that a kind keeps this contract.
//
// All methods except OnSync may be called from several goroutines. Plan, Epoch, Key, Term, Identity and Summary never
// wait for the disk; the others may.
type Sink interface {
	// Claim binds a new sink to plan, or checks that it is bound to it (ErrOtherPlan), and gives fetcher a new epoch.
	// The same fetcher claiming again gets its epoch again; a fetcher that was superseded gets ErrFenced. The claim is
	// durable before Claim returns. ErrFull means that the claim was not recorded.
	Claim(ctx context.Context, plan chunk.Plan, fetcher string) (sink.Grant, error)

	// Plan returns the plan that the sink is bound to; false before the first claim.
	Plan() (chunk.Plan, bool)

	// Epoch returns the newest epoch; 0 before the first claim.
	Epoch() uint64

	// Key returns the Key of every Grant; nil before the first claim.
	Key() []byte

	// FenceVersion makes the sink refuse results of a mapper version whose Term is below term. Committed results stay.
	// The fence is durable before FenceVersion returns. A term that is not above the version's current one changes
	// nothing. ErrFull means that nothing was recorded, ErrUnclaimed that the job is not claimed yet.
	FenceVersion(ctx context.Context, version string, term uint64) error

	// Term returns the version's term; 0 if the version was never fenced.
	Term(version string) uint64

	// Refresh loads the changes of other processes: a claim or a fence by another saver of the same sink. Without it
	// Plan, Epoch, Key, Term and Summary return what this process knew last. Claim, FenceVersion and Commit do not
	// depend on it.
	Refresh(ctx context.Context) error

	// Commit stores a group of results in one step, and returns the outcome of each, in order. A piece is Committed if
	// none of its objects was committed before, Duplicate if all of them were, and Overlap if some were. It is a
	// Conflict if the committed pieces of its chunk have another digest, another number of objects, or another first
	// ordinal. If the error is nil, every result that is Committed or Duplicate survives a power cut.
	//
	// ErrFull: nothing of the group is committed, and the same call may succeed when there is space. ErrUnreachable: it
	// is unknown what is committed; when the store is back, repeating the call shows it, because committed pieces are
	// then Duplicate. ErrInvalid or an error of the context: nothing was done. After any other error it is unknown what
	// is committed, and the sink is broken: stop the process.
	//
	// A sink that examines outputs may dead-letter objects whose outputs it cannot store; then it replaces the elements
	// of results with the results that it has committed.
	Commit(ctx context.Context, results []sink.Result) ([]sink.Outcome, error)

	// List returns the committed pieces of the chunks with from <= ID < from+limit, by ascending ID, then From.
	List(ctx context.Context, from chunk.ID, limit int) ([]sink.Entry, error)

	// Has returns the committed pieces of the chunks ids, in the order of ids, then by ascending From.
	Has(ctx context.Context, ids []chunk.ID) ([]sink.Entry, error)

	// DeadBelow returns dead letters of chunks with ID < below, one JSON line each, for people to read. It goes through
	// the chunks by descending ID, and through each chunk by ascending ordinal, until it has limit dead letters. The
	// next call continues below next; 0 means that there are no more. Where the dead letters of a chunk are very large,
	// one line replaces all those of a piece and says so.
	DeadBelow(ctx context.Context, below chunk.ID, limit int) (lines []byte, next chunk.ID, err error)

	// Look returns the committed pieces of a chunk by ascending From, or ErrNoChunk if there are none.
	Look(ctx context.Context, id chunk.ID) ([]sink.Result, error)

	// Finish checks that exactly the chunks 0 to chunks-1 are committed with all their objects, that their ordinals are
	// contiguous from 0, and that they have the given number of objects in total. If not, it returns ErrIncomplete,
	// which names the first gap. Then it merges outputs and dead letters in input order. It is idempotent. ErrFull:
	// call again when there is space. ErrUnreachable: call again when the store is back.
	Finish(ctx context.Context, chunks, objects uint64) (sink.Summary, error)

	// Summary counts the committed results. A chunk counts when all its objects are committed. Output and DeadFile are
	// set once the job is finished.
	Summary() sink.Summary

	// Identity distinguishes sinks: id was created at random with the sink, and at describes its location on this host
	// for people. Both are empty for a sink without identity.
	Identity() (id, at string)

	// OnSync calls report with the duration of each sync of a commit. Call it before any other method.
	OnSync(report func(took time.Duration))

	// Close lets another process open the sink. Committed results are durable without it.
	Close() error
}

var _ Sink = (*sink.Folder)(nil)

// SinkError gives an error of opening a sink its exit code: a wrong setting, a store that cannot be reached, content
// that must not be touched, or the end of the process. setting is the name of the setting that names the sink.
func SinkError(setting string, err error) error {
	switch {
	case errors.Is(err, context.Canceled):
		return app.WithCode(app.ExitInterrupted, errors.New("stopped while opening the sink"))
	case errors.Is(err, sink.ErrSettings):
		return app.Usage("%s: %w", setting, err)
	case errors.Is(err, sink.ErrForeign):
		return app.WithCode(app.ExitUsage, err)
	case errors.Is(err, sink.ErrUnreachable):
		return app.WithCode(app.ExitUnreachable, err)
	default:
		return err
	}
}
