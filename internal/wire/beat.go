package wire

import (
	"fmt"
	"strings"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/report"
)

// Beat says that a mapper lives, and what it holds. It is published: there is
// no answer.
type Beat struct {
	Plan   chunk.PlanID // of the last chunk; empty before the first
	Mapper report.Mapper
	Holding
	Doing    *Doing // in careful mode: the object it is about to touch
	Draining bool   // it asks for no more, and waits for answers to what it has asked
	Goodbye  bool   // it ends, and gives back what it held
	Epoch    uint64 // the highest seen

	// The rest is for people, and lets a job be stopped early that will fail.

	Unanswered   int     // objects without an answer in time, while the transform has never answered; at most MaxUnanswered
	Notice       string  // what is the matter with the mapper's transform, up to 1024 bytes
	Failed       *Failed // of the chunks in work the one of which most objects have failed; nil: none has
	FailedReason string  // why the last one of them has failed, up to 1024 bytes
}

// MaxUnanswered bounds the number of unanswered objects that a beat tells.
const MaxUnanswered = 1 << 20

// Failed is how many objects of a chunk in work have failed.
type Failed struct {
	Chunk   chunk.ID
	Objects int
}

// Doing is an object in work.
type Doing struct {
	Chunk chunk.ID
	Index int // within the chunk; as many as it has objects: none is in work any more
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
}

// parseOfChunk reads <chunk>/<number>, where a chunk has as many objects or more.
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

// DecodeBeat reads what Encode wrote. Errors: ErrMalformed, ErrVersion, ErrCorrupt.
func DecodeBeat(m Message) (Beat, error) {
	var b Beat
	err := decode("beat", m, b.fields)
	return b, err
}

// OrderKind is what a fetcher wants of one mapper.
type OrderKind string

// The orders.
const (
	OrderPing  OrderKind = "ping"  // are you there? The answer is all
	OrderDrop  OrderKind = "drop"  // Chunk is not wanted any more: give it up
	OrderDrain OrderKind = "drain" // take no more, finish what you hold, end
)

// Order is a direct message from the fetcher to one mapper.
type Order struct {
	Plan   chunk.PlanID
	Kind   OrderKind
	Chunk  chunk.ID // of a drop
	Reason string   // of a drain, for people, up to 1024 bytes; optional
	Epoch  uint64
}

func (o *Order) fields(f *fields) {
	f.plan(&o.Plan, required)
	choice(f, "Chunkline-Order", &o.Kind, OrderPing, OrderDrop, OrderDrain)
	f.id(keyChunk, &o.Chunk, presence(o.Kind == OrderDrop))
	f.text(keyReason, &o.Reason, maxReason)
	f.uint(keyEpoch, &o.Epoch, maxID, optional)
}

// Encode returns the message for VerbMapper.
func (o Order) Encode() Message { return encode(o.fields, nil) }

// DecodeOrder reads what Encode wrote. Errors: ErrMalformed, ErrVersion, ErrCorrupt.
func DecodeOrder(m Message) (Order, error) {
	var o Order
	err := decode("order", m, o.fields)
	return o, err
}

// OrderAnswer says that the mapper is there and has heard.
type OrderAnswer struct{ Plan chunk.PlanID }

func (a *OrderAnswer) fields(f *fields) { f.plan(&a.Plan, required) }

// Encode returns the answer.
func (a OrderAnswer) Encode() Message { return encode(a.fields, nil) }

// DecodeOrderAnswer reads what Encode wrote. Errors: ErrMalformed, ErrVersion, ErrCorrupt.
func DecodeOrderAnswer(m Message) (OrderAnswer, error) {
	var a OrderAnswer
	err := decode("order answer", m, a.fields)
	return a, err
}
