package bus

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/chunkline/chunkline/internal/chunk"
)

// JobState is how far a job is.
type JobState string

// The states of a job.
const (
	StateStarting  JobState = "starting"  // waits for the saver to accept the claim
	StateRunning   JobState = "running"   // also while paused
	StateFinishing JobState = "finishing" // all is saved; the result is being laid out
	StateDone      JobState = "done"
	StateCancelled JobState = "cancelled"
	StateFailed    JobState = "failed"
)

// Status is the fetcher's report. It travels, and is served, as JSON.
type Status struct {
	Job        string         `json:"job"`
	Plan       chunk.PlanID   `json:"plan"`
	Epoch      uint64         `json:"epoch"`
	State      JobState       `json:"state"`
	Paused     bool           `json:"paused"`
	Source     string         `json:"source"`
	Cut        bool           `json:"cut"` // the source was read to its end
	Objects    ObjectCounts   `json:"objects"`
	Chunks     ChunkCounts    `json:"chunks"`
	Waiting    int            `json:"waiting"`    // requests that wait for a chunk
	SaverAway  bool           `json:"saver_away"` // the saver does not answer
	Progress   float64        `json:"progress"`   // 0 to 1, by objects saved
	Rate       float64        `json:"rate"`       // objects saved a second
	ETASeconds *float64       `json:"eta_seconds,omitempty"`
	StartedAt  time.Time      `json:"started_at"`
	Seconds    float64        `json:"seconds"` // since StartedAt
	Mappers    []MapperStatus `json:"mappers"`
	Summary    Summary        `json:"summary"` // what the sink holds
}

// ObjectCounts counts objects.
type ObjectCounts struct {
	Cut     uint64 `json:"cut"` // read from the source so far
	Saved   uint64 `json:"saved"`
	Outputs uint64 `json:"outputs"` // lines made of them
	Dead    uint64 `json:"dead"`    // dead letters, saved too
}

// ChunkCounts counts chunks.
type ChunkCounts struct {
	Cut         uint64 `json:"cut"`
	Ready       uint64 `json:"ready"`
	InFlight    uint64 `json:"in_flight"`
	Saved       uint64 `json:"saved"`
	Redelivered uint64 `json:"redelivered"`
	Duplicates  uint64 `json:"duplicates"`  // results that the sink had already
	Backups     uint64 `json:"backups"`     // second copies given to idle mappers
	BackupWins  uint64 `json:"backup_wins"` // those whose result was the first
}

// MapperStatus is what the fetcher knows of one mapper.
type MapperStatus struct {
	Mapper
	Held            int     `json:"held"`  // chunks it holds now
	Saved           uint64  `json:"saved"` // chunks of its that were saved
	LastBeatSeconds float64 `json:"last_beat_seconds"`
}

// Encode returns the answer to VerbStatus. Its numbers must be finite.
func (s Status) Encode() Message {
	return encode(func(f *fields) { f.plan(&s.Plan, optional) }, mustJSON(s))
}

// DecodeStatus reads what Encode wrote. Errors: ErrMalformed, ErrVersion, ErrCorrupt.
func DecodeStatus(m Message) (Status, error) {
	var s Status
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

// ControlAction is what an operator wants.
type ControlAction string

// The orders of an operator.
const (
	ControlPause  ControlAction = "pause"  // hand out no more chunks
	ControlResume ControlAction = "resume" // hand out chunks again
	ControlCancel ControlAction = "cancel" // end the job as it is
	ControlRate   ControlAction = "rate"   // hand out at most Rate objects a second
)

// Control is an operator's order.
type Control struct {
	Action ControlAction `json:"action"`
	Rate   float64       `json:"rate,omitempty"` // 0: no limit
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
