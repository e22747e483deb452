package wire

import (
	"fmt"
	"slices"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/report"
)

// Save is the result of one chunk.
type Save struct {
	Plan    chunk.PlanID
	Epoch   uint64
	Chunk   chunk.ID
	First   uint64 // ordinal of the first object
	Objects int
	Attempt int
	Digest  chunk.Digest // of the chunk's body
	Token   string       // the lease, from Work
	Mapper  report.Mapper
	Shadow  bool  // to be compared with what is saved; the answer is SaveDuplicate then
	Trace   Trace // of this result; optional

	Counts    []int  // outputs of each object; len(Counts) == Objects
	Outputs   []byte // as many lines as Counts sum up to
	Dead      []byte // DeadCount dead letters (chunk.DeadLetter), one a line, by ascending ordinal
	DeadCount int
}

const tokenSize = 16 // bytes of a lease token

// Encode returns the message for VerbSave. The body is Outputs, then Dead.
func (s Save) Encode() Message {
	body := s.Outputs
	if len(s.Dead) > 0 {
		body = slices.Concat(s.Outputs, s.Dead)
	}
	return encode(func(f *fields) { s.fields(f, len(s.Outputs)) }, body)
}

func (s *Save) fields(f *fields, outputs int) (outputBytes int) {
	f.plan(&s.Plan, required)
	f.uint(keyEpoch, &s.Epoch, maxID, optional)
	f.cut(&s.Chunk, &s.First, &s.Objects, &s.Digest)
	f.int(keyAttempt, &s.Attempt, maxAttempt, required)
	f.hex(keyToken, &s.Token, tokenSize)
	f.mapper(&s.Mapper)
	f.counts("Chunkline-Counts", &s.Counts, s.Objects)
	f.int("Chunkline-Output-Bytes", &outputs, MaxMessage, required)
	f.int("Chunkline-Dead", &s.DeadCount, chunk.MaxSize, optional)
	f.flag(keyShadow, &s.Shadow)
	s.Trace.fields(f)
	return outputs
}

// DecodeSave reads what Encode wrote. It checks that the body is undamaged and
// holds the lines that the headers promise: ErrCorrupt if not. It does not look
// into the lines. Other errors: ErrMalformed, ErrVersion.
func DecodeSave(m Message) (Save, error) {
	var s Save
	var outputs int
	if err := decode("save", m, func(f *fields) { outputs = s.fields(f, 0) }); err != nil {
		return Save{}, err
	}
	if outputs > len(m.Body) {
		return Save{}, corrupt("save", "%d bytes of outputs in a body of %d", outputs, len(m.Body))
	}
	s.Outputs, s.Dead = m.Body[:outputs:outputs], m.Body[outputs:]
	sum, none := 0, 0
	for _, count := range s.Counts {
		sum += count
		if count == 0 {
			none++
		}
	}
	if err := checkLines("save", "outputs", s.Outputs, sum); err != nil {
		return Save{}, err
	}
	if err := checkLines("save", "dead letters", s.Dead, s.DeadCount); err != nil {
		return Save{}, err
	}
	if s.DeadCount > none { // a sink would take it for a bug of the saver
		return Save{}, fmt.Errorf("decode save: %w: %d dead letters, %d objects without outputs", ErrMalformed, s.DeadCount, none)
	}
	return s, nil
}

// SaveStatus says what became of a result.
type SaveStatus string

// The answers to Save. No other answer, and no error, means that it is saved.
const (
	SaveCommitted SaveStatus = "committed" // durable, by this message
	SaveDuplicate SaveStatus = "duplicate" // durable, by an earlier one
	SaveBusy      SaveStatus = "busy"      // not saved: send it again later
	SaveRefused   SaveStatus = "refused"   // not saved, and never will be
)

// SaveAnswer answers Save.
type SaveAnswer struct {
	Plan   chunk.PlanID // of the sink; empty: it has none yet
	Status SaveStatus
	Reason string // of busy and refused, up to 1024 bytes
	Sink   SinkID
}

func (a *SaveAnswer) fields(f *fields) {
	f.plan(&a.Plan, optional)
	a.Sink.fields(f)
	choice(f, keyStatus, &a.Status, SaveCommitted, SaveDuplicate, SaveBusy, SaveRefused)
	f.text(keyReason, &a.Reason, maxReason)
}

// Encode returns the answer.
func (a SaveAnswer) Encode() Message { return encode(a.fields, nil) }

// DecodeSaveAnswer reads what Encode wrote. Errors: ErrMalformed, ErrVersion, ErrCorrupt.
func DecodeSaveAnswer(m Message) (SaveAnswer, error) {
	var a SaveAnswer
	err := decode("save answer", m, a.fields)
	return a, err
}
