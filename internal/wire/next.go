package wire

import (
	"fmt"
	"slices"
	"time"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/report"
)

// Next asks for work.
type Next struct {
	Plan   chunk.PlanID // of the last piece; empty before the first
	Mapper report.Mapper
	Worker int // index of the worker that asks, from 0
	Holding
	Wait  time.Duration // how long the mapper waits, in whole milliseconds; a later answer is lost
	Epoch uint64        // the highest seen
	Pace  time.Duration // recent time per object of this mapper; 0: not measured yet
	Grain int           // objects that a worker maps at the same time; 0: one
}

// MaxTransform bounds the transform setting of a mapper, in bytes.
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
	pace := uint64(max(n.Pace, 0))
	f.uint("Chunkline-Pace-Ns", &pace, maxID, optional)
	n.Pace = time.Duration(pace)
	f.int("Chunkline-Grain", &n.Grain, chunk.MaxSize, optional)
}

// Encode returns the message for VerbNext.
func (n Next) Encode() Message { return encode(n.fields, nil) }

// DecodeNext decodes the output of Encode. Errors: ErrMalformed, ErrVersion, ErrCorrupt.
func DecodeNext(m Message) (Next, error) { return decoded[Next]("next", m) }

// WorkStatus is the kind of answer to a Next.
type WorkStatus string

// The answers to Next.
const (
	WorkGrant   WorkStatus = "grant"   // here is work
	WorkNone    WorkStatus = "none"    // nothing yet: ask again
	WorkDone    WorkStatus = "done"    // every chunk of the job is saved
	WorkRefused WorkStatus = "refused" // see Reason
)

// Work answers Next.
type Work struct {
	Status WorkStatus
	Reason string // of a refusal, up to 1024 bytes

	// Transform is the job's transform, in a refusal: a mapper without one adopts it, and asks again. At most
	// MaxTransform bytes.
	Transform string
	Plan      chunk.PlanID
	Epoch     uint64

	Grant  []Granted // with WorkGrant: 1 to MaxPieces
	Shadow bool      // the pieces are saved already; their results are only compared, and the mapper does not list them as held
}

// Granted is a piece for the mapper to map. Indexes of objects count within the chunk.
type Granted struct {
	// Chunk holds the piece's objects: ID is that of the chunk; First, Count, Body and Bad are of the piece.
	Chunk   chunk.Chunk
	From    int          // index of the first object within the chunk
	Of      int          // objects of the whole chunk
	Digest  chunk.Digest // of the objects of the whole chunk
	Attempt int          // from 1
	Token   string       // the lease, for the saver
	Skip    []chunk.Flaw // objects to skip, by ascending index: dead letters with Reason
	Careful bool         // announce each object before touching it
	Trace   Trace        // of this attempt at the piece; optional
}

// Piece returns the name of the piece.
func (g *Granted) Piece() chunk.Piece {
	return chunk.Piece{Chunk: g.Chunk.ID, From: g.From, To: g.From + g.Chunk.Count}
}

// grantedLine describes a granted piece in the body.
type grantedLine struct {
	pieceLine
	Careful bool         `json:"careful,omitempty"`
	Bad     []chunk.Flaw `json:"bad,omitempty"`
	Skip    []chunk.Flaw `json:"skip,omitempty"`
	Bytes   int          `json:"bytes"` // of the objects
}

// maxFlawReason bounds the reason of one flaw, in bytes, so that those of a whole chunk stay within megabytes; longer
// ones are truncated.
const maxFlawReason = 300

// Encode returns the answer. The body has for each piece its description, then its objects.
func (w Work) Encode() Message { return w.EncodeTo(nil) }

// EncodeTo is Encode, with the body in the memory of buffer if it is large enough.
func (w Work) EncodeTo(buffer []byte) Message {
	size := 0
	for i := range w.Grant {
		size += len(w.Grant[i].Chunk.Body) + 512
	}
	body := slices.Grow(buffer[:0], size)
	for i := range w.Grant {
		body = w.Grant[i].append(body)
	}
	return encode(w.fields, body)
}

func (g *Granted) append(body []byte) []byte {
	line := grantedLine{Careful: g.Careful, Bad: clipFlaws(g.Chunk.Bad), Skip: clipFlaws(g.Skip), Bytes: len(g.Chunk.Body)}
	line.cut(g.Chunk.ID, g.From, g.Chunk.Count, g.Of, g.Chunk.First, g.Digest)
	line.Attempt, line.Token = g.Attempt, g.Token
	line.setTrace(g.Trace)
	return append(appendLine(body, line), g.Chunk.Body...)
}

func (w *Work) fields(f *fields) {
	f.plan(&w.Plan, required)
	f.uint(keyEpoch, &w.Epoch, maxID, optional)
	choice(f, keyStatus, &w.Status, WorkGrant, WorkNone, WorkDone, WorkRefused)
	f.text(keyReason, &w.Reason, maxReason)
	if w.Status == WorkGrant {
		f.flag(keyShadow, &w.Shadow)
	}
	if w.Status == WorkRefused {
		f.text(keyTransform, &w.Transform, MaxTransform)
	}
}

// DecodeWork decodes the output of Encode. It checks that the body holds the objects that it describes: ErrCorrupt if
// not. Other errors: ErrMalformed, ErrVersion.
func DecodeWork(m Message) (Work, error) {
	var w Work
	if err := decode("work", m, w.fields); err != nil {
		return Work{}, err
	}
	if w.Status != WorkGrant {
		return w, nil
	}
	for b := (&body{what: "work", left: m.Body}); len(w.Grant) == 0 || len(b.left) > 0; {
		if len(w.Grant) == MaxPieces {
			return Work{}, fmt.Errorf("decode work: %w: more than %d pieces", ErrMalformed, MaxPieces)
		}
		granted, err := readGranted(b)
		if err != nil {
			return Work{}, err
		}
		w.Grant = append(w.Grant, granted)
	}
	return w, nil
}

func readGranted(b *body) (g Granted, err error) {
	var line grantedLine
	if err := b.line(&line); err != nil {
		return g, err
	}
	if g.Digest, err = line.check(); err == nil {
		err = checkFlaws(line.Bad, line.From, line.Objects)
	}
	if err == nil {
		err = checkFlaws(line.Skip, line.From, line.Objects)
	}
	if err != nil {
		return g, fmt.Errorf("decode work: %w: %w", ErrMalformed, err)
	}
	objects, err := b.lines("objects", line.Bytes, line.Objects)
	if err != nil {
		return g, err
	}
	g = Granted{
		Chunk: chunk.Chunk{ID: line.Chunk, First: line.First, Count: line.Objects, Body: objects, Bad: orNil(line.Bad)},
		From:  line.From, Of: line.Of, Digest: g.Digest, Attempt: line.Attempt, Token: line.Token,
		Skip: orNil(line.Skip), Careful: line.Careful, Trace: line.trace(),
	}
	return g, nil
}

// orNil makes an empty list nil, like an omitted one.
func orNil(flaws []chunk.Flaw) []chunk.Flaw {
	if len(flaws) == 0 {
		return nil
	}
	return flaws
}

func clipFlaws(flaws []chunk.Flaw) []chunk.Flaw {
	if len(flaws) == 0 {
		return nil
	}
	short := make([]chunk.Flaw, len(flaws))
	for i, flaw := range flaws {
		short[i] = chunk.Flaw{Index: flaw.Index, Reason: Clip(flaw.Reason, maxFlawReason)}
	}
	return short
}

func checkFlaws(flaws []chunk.Flaw, from, objects int) error {
	last := from - 1
	for _, flaw := range flaws {
		if flaw.Index <= last || flaw.Index >= from+objects || len(flaw.Reason) > maxFlawReason {
			return fmt.Errorf("flaw of object %d in a piece of %d objects from %d on", flaw.Index, objects, from)
		}
		last = flaw.Index
	}
	return nil
}
