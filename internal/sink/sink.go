package sink

import (
	"errors"
	"fmt"
	"math"

	"github.com/chunkline/chunkline/internal/chunk"
)

// The interface saver.Sink is the contract of a sink: the comments of its methods say what every kind promises.

// A Result is the result of one piece of a chunk: consecutive objects, with the indexes From <= i < From+Objects within
// the chunk. Usually the piece is the whole chunk.
type Result struct {
	Chunk   chunk.ID
	From    int          // index of the piece's first object within the chunk
	Of      int          // objects of the whole chunk; From+Objects <= Of
	First   uint64       // ordinal of the piece's first object; the chunk's is First-From
	Objects int          // of the piece, at least 1
	Digest  chunk.Digest // of the body of the whole chunk, not of the outputs
	Counts  []int        // outputs of each object; len(Counts) == Objects

	// Outputs holds one line per output, each ended by '\n', in the order of the objects. The sink does not examine it.
	Outputs []byte
	// Dead holds DeadCount dead letters, one JSON line each, by ascending ordinal. The sink does not examine it either.
	Dead      []byte
	DeadCount int

	Attempt int    // from 1
	Mapper  string // ID of the mapper
	Version string // the mapper's version

	// Transform identifies what the version does to an object. All results of a version must have the same transform;
	// "" is not compared.
	Transform string
	Term      uint64 // of the version, at the time of the lease; it is not stored
}

// Entry names the piece.
func (r *Result) Entry() Entry {
	return Entry{ID: r.Chunk, From: r.From, Objects: r.Objects, Of: r.Of, Digest: r.Digest}
}

// Outcome is what Commit did with a result.
type Outcome int

const (
	// Committed means stored now.
	Committed Outcome = iota + 1
	// Duplicate means that all objects of the piece were committed before, by this piece or by others. Nothing was
	// written; the first results stay.
	Duplicate
	// Conflict means that the chunk's committed pieces were made from other objects: the same piece has another digest,
	// or the chunk has other ordinals or another number of objects. The source has changed. Nothing was written.
	Conflict
	// TooLate means that the version was fenced after the piece was leased, and none of the piece's objects is
	// committed. Nothing was written.
	TooLate
	// OtherTransform means that the sink holds results of the version from another transform, and none of the piece's
	// objects is committed. Nothing was written.
	OtherTransform
	// Overlap means that some of the piece's objects are committed and some are not: the chunk was cut differently in
	// the meantime. Nothing was written.
	Overlap
)

// Durable reports whether the sink holds all objects of the piece.
func (o Outcome) Durable() bool { return o == Committed || o == Duplicate }

// String returns the outcome as in logs and messages.
func (o Outcome) String() string {
	return [...]string{
		Committed: "committed", Duplicate: "duplicate", Conflict: "conflict", TooLate: "too_late", OtherTransform: "other_transform", Overlap: "overlap",
	}[o]
}

// A Grant is what a fetcher gets for a claim.
type Grant struct {
	Epoch uint64            // from 1
	Key   []byte            // 32 random bytes for lease tokens; never changes
	Terms map[string]uint64 // of the fenced versions

	// Transforms is the transform of each version whose results are in the sink.
	Transforms map[string]string
}

// An Entry names a committed piece of a chunk.
type Entry = chunk.Entry

// A Summary counts what a sink holds.
type Summary struct {
	Chunks      uint64 `json:"chunks"` // with all their objects
	Objects     uint64 `json:"objects"`
	Outputs     uint64 `json:"outputs"` // lines
	Dead        uint64 `json:"dead"`
	OutputBytes uint64 `json:"output_bytes"`
	Output      string `json:"output"`    // path of the ordered outputs, or NoOutput
	DeadFile    string `json:"dead_file"` // path of the ordered dead letters; "" if there are none
}

// The errors that callers distinguish. They are always wrapped, with the folder and the reason.
var (
	// ErrSettings: the sink was named or configured wrongly.
	ErrSettings = errors.New("wrong sink setting")
	// ErrUnreachable: the store does not exist or is not accessible.
	ErrUnreachable = errors.New("sink cannot be reached")
	// ErrNotSink: the folder holds other things; it is left unchanged.
	ErrNotSink = errors.New("not a sink folder")
	// ErrForeign: the path of the result holds a file that this job did not write, or that has changed since. It is
	// left unchanged. The error is a *ForeignError.
	ErrForeign = errors.New("not a file of this job")
	// ErrFormat: the sink was written by a newer program.
	ErrFormat = errors.New("sink has a format that this program does not know")
	// ErrLocked: another process has the sink open.
	ErrLocked = errors.New("another saver (or chunkline command) has this folder open")
	// ErrOtherJob: the sink belongs to another job.
	ErrOtherJob = errors.New("sink belongs to another job")
	// ErrOtherPlan: the sink was filled from another source, or with other chunk settings.
	ErrOtherPlan = errors.New("sink is bound to another plan")
	// ErrFenced: a newer fetcher has claimed the job.
	ErrFenced = errors.New("a newer fetcher has claimed the job")
	// ErrFull: no space; nothing was changed, and a later attempt may succeed.
	ErrFull = errors.New("no space left for the sink")
	// ErrIncomplete: the job is not done.
	ErrIncomplete = errors.New("sink is not complete")
	// ErrDamaged: committed data cannot be read back as written. The error is a *DamageError.
	ErrDamaged = errors.New("sink is damaged")
	// ErrBroken: an earlier error has made this Sink unusable; stop the process and open the sink again.
	ErrBroken = errors.New("sink is broken")
	// ErrInvalid: a result contradicts itself, or an argument makes no sense. This is a bug of the caller.
	ErrInvalid = errors.New("invalid argument to the sink")
	// ErrUnclaimed: no commit is possible before the first claim.
	ErrUnclaimed = errors.New("sink is not claimed by a fetcher yet")
	// ErrReadOnly: the sink was opened for reading only.
	ErrReadOnly = errors.New("sink is open for reading only")
	// ErrClosed: Close was called.
	ErrClosed = errors.New("sink is closed")
	// ErrNoChunk: this piece of the chunk is not committed.
	ErrNoChunk = errors.New("chunk is not in the sink")
	// ErrChanged: another process has replaced or removed the piece since its record was read. Nothing was changed.
	ErrChanged = errors.New("it was replaced or removed meanwhile: run the command again")
	// ErrConflict: Replace found what Commit reports as Conflict, or OtherTransform.
	ErrConflict = errors.New("chunk is in the sink with other objects")
)

// CheckResults returns the error of the first result whose Check fails.
func CheckResults(results []Result) error {
	for i := range results {
		if err := results[i].Check(); err != nil {
			return err
		}
	}
	return nil
}

// Check rejects results that would corrupt the sink. They are a bug of the caller, because decoding has already checked
// results from the network.
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
