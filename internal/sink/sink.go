package sink

import (
	"errors"
	"fmt"
	"math"

	"github.com/chunkline/chunkline/internal/chunk"
)

// The contract of a sink is the interface saver.Sink: the comments of its methods say what
// the methods of each kind promise.

// A Result is what became of one piece of a chunk: consecutive objects, with the indexes
// From <= i < From+Objects within the chunk. Usually the piece is the whole chunk.
type Result struct {
	Chunk   chunk.ID
	From    int          // index of the piece's first object within the chunk
	Of      int          // objects of the whole chunk; From+Objects <= Of
	First   uint64       // ordinal of the piece's first object; that of the chunk is First-From
	Objects int          // of the piece, at least 1
	Digest  chunk.Digest // of the body of the whole chunk, not of the outputs
	Counts  []int        // outputs of each object; len(Counts) == Objects

	// Outputs holds one line an output, each ended by '\n', in the order of
	// the objects. The sink does not look into it.
	Outputs []byte
	// Dead holds DeadCount dead letters, one JSON line each, by ascending
	// ordinal. The sink does not look into it either.
	Dead      []byte
	DeadCount int

	Attempt int    // from 1
	Mapper  string // who mapped it
	Version string // the mapper's version

	// Transform is the identity of what the version does to an object. The sink
	// takes results of one transform only under the name of a version; "" is not compared.
	Transform string
	Term      uint64 // of the version, when the mapper was given the piece; it is not kept
}

// Outcome says what Commit did with a result.
type Outcome int

const (
	// Committed means stored now.
	Committed Outcome = iota + 1
	// Duplicate means that all objects of the piece were committed before, by this piece or
	// by others. Nothing was written; the first results stay.
	Duplicate
	// Conflict means that what is committed of the chunk was made from other objects: the same piece
	// has another digest, or the chunk has other ordinals or another number of objects. The source
	// has changed. Nothing was written.
	Conflict
	// TooLate means that the version was fenced after its mapper was given the piece, and none of
	// the piece's objects is committed. Nothing was written.
	TooLate
	// OtherTransform means that the sink holds results of the version that another
	// transform made, and none of the piece's objects is committed. Nothing was written.
	OtherTransform
	// Overlap means that some of the piece's objects are committed, and some are not: the chunk
	// was cut anew meanwhile. Nothing was written.
	Overlap
)

// Durable says whether the sink holds all objects of the piece.
func (o Outcome) Durable() bool { return o == Committed || o == Duplicate }

// String returns the outcome in the words of logs and messages.
func (o Outcome) String() string {
	switch o {
	case Committed:
		return "committed"
	case Duplicate:
		return "duplicate"
	case Conflict:
		return "conflict"
	case TooLate:
		return "too_late"
	case OtherTransform:
		return "other_transform"
	case Overlap:
		return "overlap"
	}
	return fmt.Sprintf("outcome(%d)", int(o))
}

// A Grant is what a claim gives a fetcher.
type Grant struct {
	Epoch uint64            // from 1
	Key   []byte            // 32 random bytes for lease tokens, the same for ever
	Terms map[string]uint64 // of the versions that were fenced

	// Transforms is what the versions did to objects whose results are there.
	Transforms map[string]string
}

// An Entry names a committed piece of a chunk.
type Entry struct {
	ID      chunk.ID
	From    int          // index of the piece's first object within the chunk
	Objects int          // of the piece
	Of      int          // objects of the whole chunk
	Digest  chunk.Digest // of the body of the whole chunk
}

// Whole says whether the piece is a whole chunk.
func (e Entry) Whole() bool { return e.Objects == e.Of }

// A Summary counts what a sink holds.
type Summary struct {
	Chunks      uint64 `json:"chunks"` // with all their objects
	Objects     uint64 `json:"objects"`
	Outputs     uint64 `json:"outputs"` // lines
	Dead        uint64 `json:"dead"`
	OutputBytes uint64 `json:"output_bytes"`
	Output      string `json:"output"`    // where the ordered outputs lie
	DeadFile    string `json:"dead_file"` // where the ordered dead letters lie; "" if there are none
}

// What a caller can tell apart. All of them come wrapped, with the folder and
// the reason.
var (
	// ErrSettings: the sink was named or configured wrongly.
	ErrSettings = errors.New("wrong sink setting")
	// ErrUnreachable: the store is not there, or not accessible.
	ErrUnreachable = errors.New("sink cannot be reached")
	// ErrNotSink: the folder holds other things; it is left alone.
	ErrNotSink = errors.New("not a sink folder")
	// ErrForeign: a file is in the place of the result that this job did not
	// write, or that was changed since. It is left alone. The error is a *ForeignError.
	ErrForeign = errors.New("not a file of this job")
	// ErrFormat: the sink was written by a newer program.
	ErrFormat = errors.New("sink has a format that this program does not know")
	// ErrLocked: another process has the sink open.
	ErrLocked = errors.New("another saver (or chunkline command) has this folder open")
	// ErrOtherJob: the sink belongs to another job.
	ErrOtherJob = errors.New("sink belongs to another job")
	// ErrOtherPlan: the sink was filled from another source, or cut otherwise.
	ErrOtherPlan = errors.New("sink is bound to another plan")
	// ErrFenced: a newer fetcher has claimed the job.
	ErrFenced = errors.New("a newer fetcher has claimed the job")
	// ErrFull: no space; nothing was changed, a later attempt may succeed.
	ErrFull = errors.New("no space left for the sink")
	// ErrIncomplete: the job is not done.
	ErrIncomplete = errors.New("sink is not complete")
	// ErrDamaged: committed data cannot be read back as it was written. The
	// error is a *DamageError.
	ErrDamaged = errors.New("sink is damaged")
	// ErrBroken: an earlier error has ended this Sink; stop the process, and
	// recover by opening the sink again.
	ErrBroken = errors.New("sink is broken")
	// ErrInvalid: a result contradicts itself, or an argument makes no sense.
	// A bug of the caller.
	ErrInvalid = errors.New("invalid argument to the sink")
	// ErrUnclaimed: nothing can be committed before the first claim.
	ErrUnclaimed = errors.New("sink is not claimed by a fetcher yet")
	// ErrReadOnly: the sink was opened for reading only.
	ErrReadOnly = errors.New("sink is open for reading only")
	// ErrClosed: Close was called.
	ErrClosed = errors.New("sink is closed")
	// ErrNoChunk: nothing of the chunk, or not this piece of it, is committed.
	ErrNoChunk = errors.New("chunk is not in the sink")
	// ErrConflict: what Conflict is to Commit, to Replace.
	ErrConflict = errors.New("chunk is in the sink with other objects")
)

// Check finds results that would corrupt the sink: they are a bug of the
// caller, since what comes over the network was checked when it was decoded.
func (r *Result) Check() error {
	outputs, negative := 0, false
	for _, n := range r.Counts {
		outputs += n
		negative = negative || n < 0
	}
	var wrong string
	switch {
	case r.Objects < 1:
		wrong = fmt.Sprintf("%d objects", r.Objects)
	case r.From < 0 || r.From > r.Of-r.Objects || r.Of > maxObjects:
		wrong = fmt.Sprintf("objects from %d on, %d of the chunk's %d", r.From, r.Objects, r.Of)
	case r.First < uint64(r.From) || r.First-uint64(r.From) > math.MaxUint64-uint64(r.Of):
		wrong = fmt.Sprintf("first ordinal %d", r.First)
	case len(r.Counts) != r.Objects:
		wrong = fmt.Sprintf("%d counts for %d objects", len(r.Counts), r.Objects)
	case negative || outputs < 0:
		wrong = "counts below zero"
	case (outputs == 0) != (len(r.Outputs) == 0):
		wrong = fmt.Sprintf("%d outputs in %d bytes", outputs, len(r.Outputs))
	case len(r.Outputs) > 0 && r.Outputs[len(r.Outputs)-1] != '\n':
		wrong = "last output has no line end"
	case r.DeadCount < 0 || r.DeadCount > r.Objects || (r.DeadCount == 0) != (len(r.Dead) == 0):
		wrong = fmt.Sprintf("%d dead letters of %d objects in %d bytes", r.DeadCount, r.Objects, len(r.Dead))
	case len(r.Dead) > 0 && r.Dead[len(r.Dead)-1] != '\n':
		wrong = "last dead letter has no line end"
	case r.Attempt < 0:
		wrong = fmt.Sprintf("attempt %d", r.Attempt)
	default:
		return nil
	}
	return fmt.Errorf("result of chunk %d: %s: %w", r.Chunk, wrong, ErrInvalid)
}
