package bus

import "github.com/chunkline/chunkline/internal/chunk"

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
