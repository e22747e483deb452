package bus

import "github.com/chunkline/chunkline/internal/chunk"

// MaxDifferences is how many differences a ShadowReport lists at most: the latest.
const MaxDifferences = 100

// ShadowReport is what came of comparing results of a version that shadows with
// those that are saved, since the saver runs.
type ShadowReport struct {
	Versions    []ShadowCount `json:"versions"`    // by name
	Differences []Difference  `json:"differences"` // the latest first
}

// ShadowCount counts what was compared of a version.
type ShadowCount struct {
	Version   string `json:"version"`
	Chunks    uint64 `json:"chunks"`
	Objects   uint64 `json:"objects"`
	Different uint64 `json:"different"` // objects whose outputs differ, or of which one is a dead letter
	Failed    uint64 `json:"failed"`    // of them those that only this version could not map
}

// Difference is an object of which two versions made different things.
type Difference struct {
	Ordinal uint64   `json:"ordinal"`
	Chunk   chunk.ID `json:"chunk"`
	Saved   Made     `json:"saved"`
	Shadow  Made     `json:"shadow"`
}

// Made is what a version made of an object: the first bytes of its outputs, a
// line each, or the error that made it a dead letter.
type Made struct {
	Version string `json:"version"`
	Outputs string `json:"outputs"`
	Error   string `json:"error,omitempty"`
}

// shadowReport reads or writes that the body is a report.
func (f *fields) shadowReport(r **ShadowReport) {
	there := *r != nil
	f.flag(keyShadow, &there)
	if f.write || f.err != nil || !there {
		return
	}
	report := new(ShadowReport)
	f.jsonBody(report)
	*r = report
}
