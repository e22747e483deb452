package wire

import (
	"fmt"
	"strings"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/report"
)

// Save is the results of one or more pieces, made by one mapper.
type Save struct {
	Plan    chunk.PlanID
	Epoch   uint64
	Mapper  report.Mapper
	Shadow  bool     // only to be compared with the saved results; the answer is SaveDuplicate then
	Results []Result // 1 to MaxPieces
}

// Result is the result of one piece.
type Result struct {
	Chunk   chunk.ID
	From    int    // index of the first object within the chunk
	Of      int    // objects of the whole chunk
	First   uint64 // ordinal of the first object
	Objects int
	Attempt int
	Digest  chunk.Digest // of the objects of the whole chunk
	Token   string       // the lease, from the grant
	Trace   Trace        // of this result; optional

	Counts    []int  // outputs of each object; len(Counts) == Objects
	Outputs   []byte // as many lines as Counts sum up to
	Dead      []byte // DeadCount dead letters (chunk.DeadLetter), one a line, by ascending ordinal
	DeadCount int
}

// Piece returns the name of the piece.
func (r *Result) Piece() chunk.Piece {
	return chunk.Piece{Chunk: r.Chunk, From: r.From, To: r.From + r.Objects}
}

const tokenSize = 16 // bytes of a lease token

// resultLine describes a result in the body.
type resultLine struct {
	pieceLine
	Counts    string `json:"counts"`
	Bytes     int    `json:"bytes"` // of the outputs
	Dead      int    `json:"dead,omitempty"`
	DeadBytes int    `json:"dead_bytes,omitempty"`
}

// Encode returns the message for VerbSave. The body has for each result its description, then its outputs, then its
// dead letters.
func (s Save) Encode() Message {
	size := 0
	for i := range s.Results {
		size += s.Results[i].size()
	}
	body := make([]byte, 0, size)
	for i := range s.Results {
		body = s.Results[i].append(body)
	}
	return encode(s.fields, body)
}

// size returns roughly how many bytes of a body the result takes.
func (r *Result) size() int { return len(r.Outputs) + len(r.Dead) + 512 }

func (r *Result) append(body []byte) []byte {
	line := resultLine{Counts: writeCounts(r.Counts), Bytes: len(r.Outputs), Dead: r.DeadCount, DeadBytes: len(r.Dead)}
	line.cut(r.Chunk, r.From, r.Objects, r.Of, r.First, r.Digest)
	line.Attempt, line.Token = r.Attempt, r.Token
	line.setTrace(r.Trace)
	return append(append(appendLine(body, line), r.Outputs...), r.Dead...)
}

func (s *Save) fields(f *fields) {
	f.plan(&s.Plan, required)
	f.uint(keyEpoch, &s.Epoch, maxID, optional)
	f.mapper(&s.Mapper)
	f.flag(keyShadow, &s.Shadow)
}

// DecodeSave decodes the output of Encode. It checks that the body is undamaged and holds the lines that it describes:
// ErrCorrupt if not. It does not examine the lines. Other errors: ErrMalformed, ErrVersion.
func DecodeSave(m Message) (Save, error) {
	var s Save
	if err := decode("save", m, s.fields); err != nil {
		return Save{}, err
	}
	for b := (&body{what: "save", left: m.Body}); len(s.Results) == 0 || len(b.left) > 0; {
		if len(s.Results) == MaxPieces {
			return Save{}, fmt.Errorf("decode save: %w: more than %d results", ErrMalformed, MaxPieces)
		}
		result, err := readResult(b)
		if err != nil {
			return Save{}, err
		}
		s.Results = append(s.Results, result)
	}
	return s, nil
}

func readResult(b *body) (Result, error) {
	var line resultLine
	if err := b.line(&line); err != nil {
		return Result{}, err
	}
	digest, err := line.check()
	var counts []int
	if err == nil {
		counts, err = readCounts(line.Counts, line.Objects)
	}
	if err != nil {
		return Result{}, fmt.Errorf("decode save: %w: %w", ErrMalformed, err)
	}
	sum, none := 0, 0
	for _, count := range counts {
		sum += count
		if count == 0 {
			none++
		}
	}
	if line.Dead < 0 || line.Dead > none { // a sink would consider it a bug of the saver
		return Result{}, fmt.Errorf("decode save: %w: %d dead letters, %d objects without outputs", ErrMalformed, line.Dead, none)
	}
	r := Result{
		Chunk: line.Chunk, From: line.From, Of: line.Of, First: line.First, Objects: line.Objects, Attempt: line.Attempt, Digest: digest,
		Token: line.Token, Trace: line.trace(), Counts: counts, DeadCount: line.Dead,
	}
	if r.Outputs, err = b.lines("outputs", line.Bytes, sum); err != nil {
		return Result{}, err
	}
	r.Dead, err = b.lines("dead letters", line.DeadBytes, line.Dead)
	return r, err
}

// SaveStatus is the outcome of a result.
type SaveStatus string

// The answers to a result. Only committed and duplicate mean that it is saved.
const (
	SaveCommitted SaveStatus = "committed" // durable, by this message
	SaveDuplicate SaveStatus = "duplicate" // durable, by an earlier one
	SaveBusy      SaveStatus = "busy"      // not saved: send it again later
	SaveRefused   SaveStatus = "refused"   // not saved, and never will be
)

// SaveAnswer answers Save.
type SaveAnswer struct {
	Plan     chunk.PlanID // of the sink; empty: it has none yet
	Statuses []SaveStatus // of each result, in the order of the message; a single one applies to all
	Reason   string       // of the first that is busy or refused, up to 1024 bytes
	Sink     SinkID
}

// Of returns the status of the result at index i of a message.
func (a *SaveAnswer) Of(i int) SaveStatus {
	switch {
	case len(a.Statuses) == 1:
		return a.Statuses[0]
	case i < len(a.Statuses):
		return a.Statuses[i]
	}
	return ""
}

func (a *SaveAnswer) fields(f *fields) {
	f.plan(&a.Plan, optional)
	a.Sink.fields(f)
	f.field(keyStatus, required, false, func() string {
		words := make([]string, len(a.Statuses))
		for i, status := range a.Statuses {
			words[i] = string(status)
		}
		return strings.Join(words, ",")
	}, func(text string) error {
		for word := range strings.SplitSeq(text, ",") {
			switch status := SaveStatus(word); status {
			case SaveCommitted, SaveDuplicate, SaveBusy, SaveRefused:
				a.Statuses = append(a.Statuses, status)
			default:
				return fmt.Errorf("%.40q is not a status", word)
			}
		}
		if len(a.Statuses) > MaxPieces {
			return fmt.Errorf("more than %d", MaxPieces)
		}
		return nil
	})
	f.text(keyReason, &a.Reason, maxReason)
}

// Encode returns the answer.
func (a SaveAnswer) Encode() Message { return encode(a.fields, nil) }

// DecodeSaveAnswer decodes the output of Encode. Errors: ErrMalformed, ErrVersion, ErrCorrupt.
func DecodeSaveAnswer(m Message) (SaveAnswer, error) { return decoded[SaveAnswer]("save answer", m) }
