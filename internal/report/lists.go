package report

import "github.com/chunkline/chunkline/internal/chunk"

// MaxDead bounds the dead letters of one page.
const MaxDead = 1000

// DeadPage is a page of the list of dead letters.
type DeadPage struct {
	Letters []DeadLetter `json:"letters"` // by descending chunk, within a chunk by ascending ordinal
	Before  chunk.ID     `json:"before"`  // the next page has chunks below this one; 0: there is none
}

// DeadLetter is a shortened dead letter for the live page.
type DeadLetter struct {
	Ordinal  uint64   `json:"ordinal"`
	Chunk    chunk.ID `json:"chunk"`
	Error    string   `json:"error"`
	Attempts int      `json:"attempts"`
	Mapper   string   `json:"mapper"`
	Version  string   `json:"version"`
	Object   string   `json:"object"` // its first bytes; U+FFFD stands for those that are not UTF-8
	Bytes    int      `json:"bytes"`  // of the whole object
}

// MaxDifferences bounds the differences in a ShadowReport; it has the latest.
const MaxDifferences = 100

// ShadowReport is the comparison of the results of shadow versions with the saved ones, since the saver started.
type ShadowReport struct {
	Versions    []ShadowCount `json:"versions"`    // by name
	Differences []Difference  `json:"differences"` // the latest first
}

// ShadowCount counts the compared objects of a shadow version.
type ShadowCount struct {
	Version   string `json:"version"`
	Chunks    uint64 `json:"chunks"`
	Objects   uint64 `json:"objects"`
	Different uint64 `json:"different"` // objects whose outputs differ, or that are a dead letter in one version only
	Failed    uint64 `json:"failed"`    // different objects that only this version could not map
}

// Difference is an object for which two versions have different results.
type Difference struct {
	Ordinal uint64   `json:"ordinal"`
	Chunk   chunk.ID `json:"chunk"`
	Saved   Made     `json:"saved"`
	Shadow  Made     `json:"shadow"`
}

// Made is a version's result for an object: the first bytes of its outputs, one per line, or the error that made it a
// dead letter.
type Made struct {
	Version string `json:"version"`
	Outputs string `json:"outputs"`
	Error   string `json:"error,omitempty"`
}

// A Map counts the chunks of a part of the job by state.
type Map struct {
	From  chunk.ID `json:"from"`
	Each  int      `json:"each"`  // chunks in a cell
	Total uint64   `json:"total"` // chunks of the job; an estimate until the source is read, and 0 if there is none
	Cells []Cell   `json:"cells"`
}

// A Cell of a Map counts its chunks by state.
type Cell struct {
	Ready    int     `json:"ready,omitempty"`
	InFlight int     `json:"in_flight,omitempty"`
	Saved    int     `json:"saved,omitempty"` // with all their objects
	Dead     int     `json:"dead,omitempty"`
	Share    float64 `json:"share,omitempty"` // of the objects of these chunks, the share that is saved, 0 to 1
}

// A Chunk describes one chunk.
type Chunk struct {
	Chunk   chunk.ID `json:"chunk"`
	State   string   `json:"state"`             // ready, in_flight, saved, dead
	First   uint64   `json:"first,omitempty"`   // ordinal of its first object
	Objects int      `json:"objects,omitempty"` // 0: it is saved, and no longer known
	Bytes   int      `json:"bytes,omitempty"`
	Attempt int      `json:"attempt,omitempty"` // under way, or the next one
	Seconds float64  `json:"seconds,omitempty"` // in flight
	Mappers []string `json:"mappers,omitempty"` // names of the mappers that hold it, that of a backup attempt last
	Backup  bool     `json:"backup,omitempty"`  // one of them has a backup attempt
	Lost    []string `json:"lost,omitempty"`    // names of mappers that vanished with it
}
