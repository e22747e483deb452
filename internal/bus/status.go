package bus

import (
	"encoding/json"
	"fmt"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/report"
)

// EncodeStatus returns the answer to VerbStatus. Its numbers must be finite.
func EncodeStatus(s report.Status) Message {
	return encode(func(f *fields) { f.plan(&s.Plan, optional) }, mustJSON(s.Whole()))
}

// DecodeStatus reads what EncodeStatus wrote. Errors: ErrMalformed, ErrVersion, ErrCorrupt.
func DecodeStatus(m Message) (report.Status, error) {
	var s report.Status
	err := decode("status", m, func(f *fields) {
		var plan chunk.PlanID
		f.plan(&plan, optional)
		f.jsonBody(&s)
		if f.err == nil && s.Plan != plan {
			f.fail(keyPlan, "body says %.40q", s.Plan)
		}
	})
	return s, err
}

// StatusQuery asks how far the job is.
type StatusQuery struct{}

// Encode returns the message for VerbStatus.
func (StatusQuery) Encode() Message { return encode(func(*fields) {}, nil) }

// jsonBody reads the body.
func (f *fields) jsonBody(v any) {
	if f.err != nil {
		return
	}
	if err := json.Unmarshal(f.body, v); err != nil {
		f.err = fmt.Errorf("%w: body: %w", ErrMalformed, err)
	}
}

func mustJSON(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("bus: encode %T: %v", v, err)) // its numbers are finite, and the rest always encodes
	}
	return text
}
