package bus

import "github.com/chunkline/chunkline/internal/chunk"

// MaxSaved is how many chunks one Saved, or a Sync that lists chunks, names at
// most: their ranges stay below 90 KiB whatever the IDs are.
const MaxSaved = 4096

// Saved tells the fetcher which chunks are durable.
type Saved struct {
	Plan   chunk.PlanID
	Epoch  uint64     // the newest that the sink knows
	Chunks []chunk.ID // at most MaxSaved; decoded in ascending order
	Total  Summary    // what the sink holds
}

func (s *Saved) fields(f *fields) {
	f.plan(&s.Plan, required)
	f.uint(keyEpoch, &s.Epoch, maxID, required)
	ranges(f, keyChunks, &s.Chunks, MaxSaved, required)
	f.summary(&s.Total)
}

// Encode returns the message for VerbSaved.
func (s Saved) Encode() Message { return encode(s.fields, nil) }

// DecodeSaved reads what Encode wrote. Errors: ErrMalformed, ErrVersion, ErrCorrupt.
func DecodeSaved(m Message) (Saved, error) {
	var s Saved
	err := decode("saved", m, s.fields)
	return s, err
}

// SavedAnswer says that the fetcher has heard.
type SavedAnswer struct{ Plan chunk.PlanID }

func (a *SavedAnswer) fields(f *fields) { f.plan(&a.Plan, required) }

// Encode returns the answer.
func (a SavedAnswer) Encode() Message { return encode(a.fields, nil) }

// DecodeSavedAnswer reads what Encode wrote. Errors: ErrMalformed, ErrVersion, ErrCorrupt.
func DecodeSavedAnswer(m Message) (SavedAnswer, error) {
	var a SavedAnswer
	err := decode("saved answer", m, a.fields)
	return a, err
}

// Summary counts what the sink holds.
type Summary struct {
	Chunks      uint64 `json:"chunks"`
	Objects     uint64 `json:"objects"`
	Outputs     uint64 `json:"outputs"` // lines
	Dead        uint64 `json:"dead"`
	Duplicates  uint64 `json:"duplicates"` // results that were there already
	OutputBytes uint64 `json:"output_bytes"`
	Output      string `json:"output"`    // where the ordered outputs lie, once the job is done
	DeadFile    string `json:"dead_file"` // where the ordered dead letters lie; "" if there are none
}

func (f *fields) summary(s *Summary) {
	if f.write {
		s.Output, s.DeadFile = clip(s.Output, maxPath), clip(s.DeadFile, maxPath)
	}
	f.json(keySummary, s, *s == Summary{}, optional)
}

const maxPath = 4096 // bytes of a file name, as Linux has it
