package wire

import (
	"fmt"
	"strings"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/report"
)

// Beat is a mapper's heartbeat: the mapper is alive, and this is all that it holds. It is published, and has no answer.
type Beat struct {
	Plan   chunk.PlanID // of the last chunk; empty before the first
	Mapper report.Mapper
	Holding
	Doing    *Doing // in careful mode: the object that it is about to map
	Draining bool   // it asks for no more work, and waits for answers to its open requests
	Goodbye  bool   // it ends, and releases all that it held
	Epoch    uint64 // the highest seen

	// The rest is shown to people, and lets the fetcher stop a hopeless job early.

	Unanswered   int     // objects that timed out, as long as the transform has never answered; at most MaxUnanswered
	Notice       string  // the problem of the mapper's transform, up to 1024 bytes
	Failed       *Failed // of the chunks being mapped, the one with the most failed objects; nil: none has any
	FailedReason string  // error of the last of them, up to 1024 bytes

	Retries uint64 // tries of objects after their first ones, since the process started; the fetcher's rate counts them
}

// MaxUnanswered bounds Unanswered.
const MaxUnanswered = 1 << 20

// Failed is the number of failed objects of a chunk that is being mapped.
type Failed struct {
	Chunk   chunk.ID
	Objects int
}

// Doing is an object that is being mapped.
type Doing struct {
	Chunk chunk.ID
	Index int // within the chunk; the number of the chunk's objects means that all are mapped
}

func (b *Beat) fields(f *fields) {
	f.plan(&b.Plan, optional)
	f.mapper(&b.Mapper)
	b.Holding.fields(f)
	f.field("Chunkline-Doing", optional, b.Doing == nil, func() string {
		return fmt.Sprintf("%d/%d", b.Doing.Chunk, b.Doing.Index)
	}, func(s string) error {
		id, index, err := parseOfChunk(s)
		b.Doing = &Doing{Chunk: id, Index: index}
		return err
	})
	f.flag("Chunkline-Draining", &b.Draining)
	f.flag("Chunkline-Goodbye", &b.Goodbye)
	f.uint(keyEpoch, &b.Epoch, maxID, optional)
	f.int("Chunkline-Unanswered", &b.Unanswered, MaxUnanswered, optional)
	f.text("Chunkline-Notice", &b.Notice, maxReason)
	f.field("Chunkline-Failed", optional, b.Failed == nil, func() string {
		return fmt.Sprintf("%d/%d", b.Failed.Chunk, b.Failed.Objects)
	}, func(s string) error {
		id, objects, err := parseOfChunk(s)
		b.Failed = &Failed{Chunk: id, Objects: objects}
		return err
	})
	f.text("Chunkline-Failed-Reason", &b.FailedReason, maxReason)
	f.uint("Chunkline-Retries", &b.Retries, maxID, optional)
}

// parseOfChunk reads <chunk>/<number>, where the number is at most a chunk's number of objects.
func parseOfChunk(s string) (id chunk.ID, n int, err error) {
	first, second, _ := strings.Cut(s, "/")
	c, err := parseUint(first, maxID)
	if err != nil {
		return 0, 0, err
	}
	i, err := parseUint(second, chunk.MaxSize)
	return chunk.ID(c), int(i), err
}

// Encode returns the message for VerbBeat.
func (b Beat) Encode() Message { return encode(b.fields, nil) }

// DecodeBeat decodes the output of Encode. Errors: ErrMalformed, ErrVersion, ErrCorrupt.
func DecodeBeat(m Message) (Beat, error) { return decoded[Beat]("beat", m) }

// OrderKind is an order from the fetcher to one mapper.
type OrderKind string

// The orders.
const (
	OrderPing  OrderKind = "ping"  // answer, to show that you are alive
	OrderDrop  OrderKind = "drop"  // give up Piece: its result is no longer needed
	OrderDrain OrderKind = "drain" // ask for no more work, finish what you hold, then end
)

// Order is a message from the fetcher to one mapper.
type Order struct {
	Plan   chunk.PlanID
	Kind   OrderKind
	Piece  chunk.Piece // of a drop
	Reason string      // of a drain, for people, up to 1024 bytes; optional
	Epoch  uint64
}

func (o *Order) fields(f *fields) {
	f.plan(&o.Plan, required)
	choice(f, "Chunkline-Order", &o.Kind, OrderPing, OrderDrop, OrderDrain)
	if o.Kind == OrderDrop {
		f.piece(&o.Piece)
	}
	f.text(keyReason, &o.Reason, maxReason)
	f.uint(keyEpoch, &o.Epoch, maxID, optional)
}

// piece is exactly one piece, in the format of a list.
func (f *fields) piece(p *chunk.Piece) {
	set := []chunk.Piece{*p}
	f.pieces("Chunkline-Piece", &set, 1, required)
	if !f.write && f.err == nil {
		*p = set[0]
	}
}

// Encode returns the message for VerbMapper.
func (o Order) Encode() Message { return encode(o.fields, nil) }

// DecodeOrder decodes the output of Encode. Errors: ErrMalformed, ErrVersion, ErrCorrupt.
func DecodeOrder(m Message) (Order, error) { return decoded[Order]("order", m) }

// OrderAnswer means that the mapper is alive and has got the order. Its content is ignored.
type OrderAnswer struct{ Plan chunk.PlanID }

func (a *OrderAnswer) fields(f *fields) { f.plan(&a.Plan, required) }

// Encode returns the answer.
func (a OrderAnswer) Encode() Message { return encode(a.fields, nil) }

// Hello tells all mappers that a fetcher serves. It is only a hint.
type Hello struct {
	Plan  chunk.PlanID
	Epoch uint64 // of the fetcher
}

func (h *Hello) fields(f *fields) {
	f.plan(&h.Plan, required)
	f.uint(keyEpoch, &h.Epoch, maxID, required)
}

// Encode returns the message for VerbHello.
func (h Hello) Encode() Message { return encode(h.fields, nil) }

// DecodeHello decodes the output of Encode. Errors: ErrMalformed, ErrVersion, ErrCorrupt.
func DecodeHello(m Message) (Hello, error) { return decoded[Hello]("hello", m) }
