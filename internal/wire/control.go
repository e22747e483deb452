package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/report"
)

// ControlAction is an operator's order to the fetcher.
type ControlAction string

// The orders of an operator.
const (
	ControlPause  ControlAction = "pause"  // hand out no more chunks
	ControlResume ControlAction = "resume" // hand out chunks again
	ControlCancel ControlAction = "cancel" // end the job now
	ControlRate   ControlAction = "rate"   // hand out at most Rate objects a second
	ControlShare  ControlAction = "share"  // Version gets at most Share of the chunks
	ControlShadow ControlAction = "shadow" // Version gets copies of Share of the saved chunks, and no other work
	ControlAllow  ControlAction = "allow"  // Version was disabled by the circuit breaker, and gets chunks again
)

// Control is an operator's order. Its JSON has exactly the fields that its action needs. A missing or misspelt field is
// an error, because zero would lift a limit.
type Control struct {
	Action  ControlAction
	Rate    float64 // of ControlRate; 0: no limit
	Version string  // of mappers; for ControlShare, ControlAllow, and ControlShadow, where it is optional
	Share   float64 // of ControlShare and ControlShadow; 0: no chunks; 1: no limit
}

// controlText is the JSON of a Control. A field that is missing is nil.
type controlText struct {
	Action  *ControlAction `json:"action"`
	Rate    *float64       `json:"rate,omitempty"`
	Version *string        `json:"version,omitempty"`
	Share   *float64       `json:"share,omitempty"`
}

// takes says which fields an action has.
type takes struct{ rate, version, share need }

type need int

const (
	none need = iota // the field must not be there
	may
	must
)

// fieldsOf says which fields each action has.
var fieldsOf = map[ControlAction]takes{
	ControlPause:  {},
	ControlResume: {},
	ControlCancel: {},
	ControlRate:   {rate: must},
	ControlShare:  {version: must, share: must},
	ControlShadow: {version: may, share: must},
	ControlAllow:  {version: must},
}

// takesOf returns which fields an action has. An unknown action may have all; the fetcher refuses it.
func takesOf(a ControlAction) takes {
	if t, known := fieldsOf[a]; known {
		return t
	}
	return takes{may, may, may}
}

// MarshalJSON implements json.Marshaler.
func (c Control) MarshalJSON() ([]byte, error) {
	t, text := takesOf(c.Action), controlText{Action: &c.Action}
	if t.rate == must || t.rate == may && c.Rate != 0 {
		text.Rate = &c.Rate
	}
	if t.version == must || t.version == may && c.Version != "" {
		text.Version = &c.Version
	}
	if t.share == must || t.share == may && c.Share != 0 {
		text.Share = &c.Share
	}
	return json.Marshal(text) //nolint:wrapcheck // json adds the context
}

// UnmarshalJSON implements json.Unmarshaler. It refuses unknown fields, fields that the action does not have, and an
// action without a field that it needs.
func (c *Control) UnmarshalJSON(b []byte) error {
	var text controlText
	read := json.NewDecoder(bytes.NewReader(b))
	read.DisallowUnknownFields()
	if err := read.Decode(&text); err != nil {
		return err //nolint:wrapcheck // json adds the context
	}
	if _, err := read.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows it")
	}
	if text.Action == nil {
		return errors.New(`it has no "action"`)
	}
	t := takesOf(*text.Action)
	for _, field := range []struct {
		name  string
		there bool
		want  need
	}{{"rate", text.Rate != nil, t.rate}, {"version", text.Version != nil, t.version}, {"share", text.Share != nil, t.share}} {
		switch {
		case field.want == must && !field.there:
			return fmt.Errorf("%s has no %q", *text.Action, field.name)
		case field.want == none && field.there:
			return fmt.Errorf("%s takes no %q", *text.Action, field.name)
		}
	}
	*c = Control{Action: *text.Action}
	if text.Rate != nil {
		c.Rate = *text.Rate
	}
	if text.Version != nil {
		c.Version = *text.Version
	}
	if text.Share != nil {
		c.Share = *text.Share
	}
	return nil
}

// Encode returns the message for VerbControl. Its numbers must be finite.
func (c Control) Encode() Message { return encode(func(*fields) {}, mustJSON(c)) }

// DecodeControl decodes the output of Encode, or a message that a person has typed without a checksum. It accepts
// unknown actions. Errors: ErrMalformed, ErrVersion, ErrCorrupt.
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

// DecodeControlAnswer decodes the output of Encode. Errors: ErrMalformed, ErrVersion, ErrCorrupt.
func DecodeControlAnswer(m Message) (ControlAnswer, error) {
	var a ControlAnswer
	err := decode("control answer", m, func(f *fields) { f.jsonBody(&a) })
	return a, err
}

// EncodeStatus returns the answer to VerbStatus. Its numbers must be finite.
func EncodeStatus(s report.Status) Message {
	return encode(func(f *fields) { f.plan(&s.Plan, optional) }, mustJSON(s.Whole()))
}

// DecodeStatus decodes the output of EncodeStatus. Errors: ErrMalformed, ErrVersion, ErrCorrupt.
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

// StatusQuery asks for the status of the job.
type StatusQuery struct{}

// Encode returns the message for VerbStatus.
func (StatusQuery) Encode() Message { return encode(func(*fields) {}, nil) }
