package bus

import "github.com/chunkline/chunkline/internal/chunk"

// ControlAction is what an operator wants.
type ControlAction string

// The orders of an operator.
const (
	ControlPause  ControlAction = "pause"  // hand out no more chunks
	ControlResume ControlAction = "resume" // hand out chunks again
	ControlCancel ControlAction = "cancel" // end the job as it is
	ControlRate   ControlAction = "rate"   // hand out at most Rate objects a second
	ControlShare  ControlAction = "share"  // Version gets at most Share of the chunks
	ControlShadow ControlAction = "shadow" // Version gets copies of Share of the saved chunks, and nothing else
	ControlAllow  ControlAction = "allow"  // Version was cut off, and may have chunks again
)

// Control is an operator's order.
type Control struct {
	Action ControlAction `json:"action"`
	Rate   float64       `json:"rate,omitempty"` // 0: no limit

	Version string  `json:"version,omitempty"` // of mappers
	Share   float64 `json:"share,omitempty"`   // 0: none of the chunks; 1: no limit
}

// Encode returns the message for VerbControl. Its numbers must be finite.
func (c Control) Encode() Message { return encode(func(*fields) {}, mustJSON(c)) }

// DecodeControl reads what Encode wrote, or a person without a checksum. Which actions there are is left to the
// fetcher. Errors: ErrMalformed, ErrVersion, ErrCorrupt.
func DecodeControl(m Message) (Control, error) {
	var c Control
	err := decodeSummed("control", m, optional, func(f *fields) { f.jsonBody(&c) })
	return c, err
}

// ControlAnswer answers Control.
type ControlAnswer struct {
	Plan   chunk.PlanID `json:"plan"`
	OK     bool         `json:"ok"`
	Reason string       `json:"reason,omitempty"` // why not
}

// Encode returns the answer.
func (a ControlAnswer) Encode() Message {
	return encode(func(f *fields) { f.plan(&a.Plan, optional) }, mustJSON(a))
}

// DecodeControlAnswer reads what Encode wrote. Errors: ErrMalformed, ErrVersion, ErrCorrupt.
func DecodeControlAnswer(m Message) (ControlAnswer, error) {
	var a ControlAnswer
	err := decode("control answer", m, func(f *fields) { f.jsonBody(&a) })
	return a, err
}
