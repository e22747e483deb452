package wire

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/report"
)

// Next asks for one chunk.
type Next struct {
	Plan   chunk.PlanID // of the last chunk; empty before the first
	Mapper report.Mapper
	Worker int // which worker of the mapper asks, from 0
	Holding
	Wait  time.Duration // whole milliseconds; the mapper waits no longer, so a later answer is lost
	Epoch uint64        // the highest seen
}

// MaxTransform bounds the setting that tells a mapper what to do, in bytes.
const MaxTransform = 64 << 10

const (
	maxWorker = 1 << 20
	maxWait   = time.Hour
)

func (n *Next) fields(f *fields) {
	f.plan(&n.Plan, optional)
	f.mapper(&n.Mapper)
	f.int("Chunkline-Worker", &n.Worker, maxWorker, optional)
	n.Holding.fields(f)
	f.millis("Chunkline-Wait-Ms", &n.Wait, maxWait, required)
	f.uint(keyEpoch, &n.Epoch, maxID, optional)
}

// Encode returns the message for VerbNext.
func (n Next) Encode() Message { return encode(n.fields, nil) }

// DecodeNext reads what Encode wrote. Errors: ErrMalformed, ErrVersion, ErrCorrupt.
func DecodeNext(m Message) (Next, error) {
	var n Next
	err := decode("next", m, n.fields)
	return n, err
}

// WorkStatus says how a Next was answered.
type WorkStatus string

// The answers to Next.
const (
	WorkChunk   WorkStatus = "chunk"   // here is one
	WorkNone    WorkStatus = "none"    // nothing yet: ask again
	WorkDone    WorkStatus = "done"    // every chunk of the job is saved
	WorkRefused WorkStatus = "refused" // see Reason
)

// Work answers Next.
type Work struct {
	Status WorkStatus
	Reason string // of a refusal, up to 1024 bytes

	// Transform is the job's, in a refusal: a mapper that has none takes it, and asks
	// again. At most MaxTransform bytes.
	Transform string
	Plan      chunk.PlanID
	Epoch     uint64

	// The rest is there with WorkChunk only.

	Chunk   chunk.Chunk
	Digest  chunk.Digest // of Chunk.Body
	Attempt int          // from 1
	Token   string       // the lease: to be shown to the saver
	Skip    []chunk.Flaw // objects not to touch, by ascending index: dead letters with Reason
	Careful bool         // announce each object before touching it
	Shadow  bool         // it is saved already; its result is to be compared, and is not listed as held
	Trace   Trace        // of this attempt at the chunk; optional
}

const (
	keyBadBytes  = "Chunkline-Bad-Bytes"
	keySkipBytes = "Chunkline-Skip-Bytes"

	// maxFlawReason bounds the reason of one flaw, in bytes, so that those of
	// a whole chunk stay within megabytes; longer ones are cut.
	maxFlawReason = 300
)

// Encode returns the answer. The body is Chunk.Bad and Skip as JSON, if there
// are any, then Chunk.Body.
func (w Work) Encode() Message {
	bad, skip := writeFlaws(w.Chunk.Bad), writeFlaws(w.Skip)
	body := w.Chunk.Body
	if len(bad)+len(skip) > 0 {
		body = bytes.Join([][]byte{bad, skip, body}, nil)
	}
	return encode(func(f *fields) { w.fields(f, len(bad), len(skip)) }, body)
}

func (w *Work) fields(f *fields, bad, skip int) (badBytes, skipBytes int) {
	f.plan(&w.Plan, required)
	f.uint(keyEpoch, &w.Epoch, maxID, optional)
	choice(f, keyStatus, &w.Status, WorkChunk, WorkNone, WorkDone, WorkRefused)
	f.text(keyReason, &w.Reason, maxReason)
	if w.Status == WorkRefused {
		f.text(keyTransform, &w.Transform, MaxTransform)
	}
	if w.Status != WorkChunk {
		return 0, 0
	}
	f.cut(&w.Chunk.ID, &w.Chunk.First, &w.Chunk.Count, &w.Digest)
	f.int(keyAttempt, &w.Attempt, maxAttempt, required)
	f.hex(keyToken, &w.Token, tokenSize)
	f.flag("Chunkline-Careful", &w.Careful)
	f.flag(keyShadow, &w.Shadow)
	f.int(keyBadBytes, &bad, MaxMessage, optional)
	f.int(keySkipBytes, &skip, MaxMessage, optional)
	w.Trace.fields(f)
	return bad, skip
}

// DecodeWork reads what Encode wrote. It checks that the body holds the objects
// that the headers promise: ErrCorrupt if not. Other errors: ErrMalformed,
// ErrVersion.
func DecodeWork(m Message) (Work, error) {
	var w Work
	var bad, skip int
	if err := decode("work", m, func(f *fields) { bad, skip = w.fields(f, 0, 0) }); err != nil {
		return Work{}, err
	}
	if w.Status != WorkChunk {
		return w, nil
	}
	if bad+skip > len(m.Body) {
		return Work{}, corrupt("work", "%d bytes of flaws in a body of %d", bad+skip, len(m.Body))
	}
	var err error
	if w.Chunk.Bad, err = readFlaws(m.Body[:bad], w.Chunk.Count); err != nil {
		return Work{}, err
	}
	if w.Skip, err = readFlaws(m.Body[bad:bad+skip], w.Chunk.Count); err != nil {
		return Work{}, err
	}
	w.Chunk.Body = m.Body[bad+skip:]
	if err := checkLines("work", "objects", w.Chunk.Body, w.Chunk.Count); err != nil {
		return Work{}, err
	}
	if w.Chunk.Digest() != w.Digest {
		return Work{}, corrupt("work", "chunk %d has another digest than it should", w.Chunk.ID)
	}
	return w, nil
}

func writeFlaws(flaws []chunk.Flaw) []byte {
	if len(flaws) == 0 {
		return nil
	}
	short := make([]chunk.Flaw, len(flaws))
	for i, flaw := range flaws {
		short[i] = chunk.Flaw{Index: flaw.Index, Reason: Clip(flaw.Reason, maxFlawReason)}
	}
	return []byte(asciiJSON(short))
}

func readFlaws(text []byte, objects int) ([]chunk.Flaw, error) {
	if len(text) == 0 {
		return nil, nil
	}
	var flaws []chunk.Flaw
	if err := json.Unmarshal(text, &flaws); err != nil {
		return nil, fmt.Errorf("decode work: %w: flaws: %w", ErrMalformed, err)
	}
	last := -1
	for _, flaw := range flaws {
		if flaw.Index <= last || flaw.Index >= objects || len(flaw.Reason) > maxFlawReason {
			return nil, fmt.Errorf("decode work: %w: flaw of object %d of %d", ErrMalformed, flaw.Index, objects)
		}
		last = flaw.Index
	}
	return flaws, nil
}

// countLines returns how many lines b holds; -1 if the last has no line break.
func countLines(b []byte) int {
	if len(b) > 0 && b[len(b)-1] != '\n' {
		return -1
	}
	return bytes.Count(b, []byte{'\n'})
}
