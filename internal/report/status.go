package report

import (
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
	Job        string          `json:"job"`
	Plan       chunk.PlanID    `json:"plan"`
	Epoch      uint64          `json:"epoch"`
	State      JobState        `json:"state"`
	Paused     bool            `json:"paused"`
	Source     string          `json:"source"`
	Cut        bool            `json:"cut"` // the source was read to its end
	Objects    ObjectCounts    `json:"objects"`
	Chunks     ChunkCounts     `json:"chunks"`
	Waiting    int             `json:"waiting"`    // requests that wait for a chunk
	SaverAway  bool            `json:"saver_away"` // the saver does not answer
	Saver      SaverLoad       `json:"saver"`      // as it last told
	Shadow     *ShadowStatus   `json:"shadow,omitempty"`
	HeldBack   *HeldBack       `json:"held_back,omitempty"`
	RateLimit  float64         `json:"rate_limit"` // most objects handed out a second; 0: no limit
	Progress   float64         `json:"progress"`   // 0 to 1, by objects saved
	Rate       float64         `json:"rate"`       // objects saved a second
	ETASeconds *float64        `json:"eta_seconds,omitempty"`
	StartedAt  time.Time       `json:"started_at,omitzero"`
	Seconds    float64         `json:"seconds"` // since StartedAt
	Mappers    []MapperStatus  `json:"mappers"`
	Wanted     int             `json:"wanted_mappers"` // how many the job could use, or needs: for an autoscaler
	Versions   []VersionStatus `json:"versions"`       // of mappers, by name
	Gone       []GoneMapper    `json:"gone"`           // the latest first, at most MaxGone
	Stragglers []Straggler     `json:"stragglers"`     // the longest first, at most MaxStragglers
	Summary    Summary         `json:"summary"`        // what the sink holds
}

// What a Status lists at most.
const (
	MaxGone       = 50
	MaxStragglers = 50
)

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

// Mapper names a mapper process.
type Mapper struct {
	ID      string `json:"id"`      // unique to this start of the process
	Name    string `json:"name"`    // host or pod
	Version string `json:"version"` // of the software that maps

	// Transform is the identity of what it does to an object, up to 256 bytes;
	// "" if it waits for the fetcher to say.
	Transform string `json:"transform"`
	// Declared says that a person gave it the version: mappers that differ in it may
	// do different things to an object.
	Declared bool `json:"-"`
}

// MapperState is what a mapper is doing.
type MapperState string

// The states of a mapper.
const (
	MapperWorking  MapperState = "working"  // it holds chunks
	MapperIdle     MapperState = "idle"     // it waits for one
	MapperSilent   MapperState = "silent"   // it missed two beats, and is asked directly
	MapperDraining MapperState = "draining" // it finishes what it holds
)

// MapperStatus is what the fetcher knows of one mapper.
type MapperStatus struct {
	Mapper
	State           MapperState `json:"state"`
	Held            int         `json:"held"`  // chunks it holds now
	Saved           uint64      `json:"saved"` // chunks of its that were saved
	Rate            float64     `json:"rate"`  // objects of its that were saved a second, over the last 10 s or its last two chunks
	Slow            bool        `json:"slow"`  // it holds a straggler, or its workers do less than half of what those of the others do
	LastBeatSeconds float64     `json:"last_beat_seconds"`
	Notice          string      `json:"notice,omitempty"` // what is the matter with its transform, in the mapper's words
}

// VersionStatus is what the fetcher knows of a version of mappers, since it runs.
type VersionStatus struct {
	Version      string    `json:"version"`
	Mappers      int       `json:"mappers"`    // that are here
	Held         int       `json:"held"`       // chunks
	HandedOut    uint64    `json:"handed_out"` // chunks
	Saved        uint64    `json:"saved"`      // chunks
	Vanished     uint64    `json:"vanished"`   // chunks whose mapper vanished with them
	Objects      uint64    `json:"objects"`    // saved
	Dead         uint64    `json:"dead"`       // of them dead letters
	Rate         float64   `json:"rate"`       // objects saved a second
	ChunkSeconds Quantiles `json:"chunk_seconds"`
	Share        float64   `json:"share"` // most of the chunks handed out that it gets, 0 to 1
	// CutOffSeconds is there while the version is cut off because too much of what
	// it did failed: time until it gets one chunk to prove itself; 0: that is due, or under way.
	CutOffSeconds *float64 `json:"cut_off_seconds,omitempty"`
}

// Quantiles are those of the time from hand-out to confirmation of the last 200 chunks.
type Quantiles struct {
	P50 float64 `json:"p50"`
	P95 float64 `json:"p95"`
}

// ShadowStatus is a shadow run: mappers of a version get copies of saved chunks, and
// what they make is compared with what is saved.
type ShadowStatus struct {
	Version   string  `json:"version"`
	Share     float64 `json:"share"`      // of the saved chunks, 0 to 1
	HandedOut uint64  `json:"handed_out"` // copies, since this run began
}

// GoneMapper is a mapper that was here.
type GoneMapper struct {
	Mapper
	Saved   uint64  `json:"saved"`   // chunks of its that were saved
	Why     string  `json:"why"`     // it said goodbye, fell silent, or has no connection any more
	Lost    int     `json:"lost"`    // chunks that it held
	Seconds float64 `json:"seconds"` // since then
}

// Straggler is a chunk that takes far longer than the others.
type Straggler struct {
	Chunk   chunk.ID `json:"chunk"`
	Seconds float64  `json:"seconds"`          // in flight
	Attempt int      `json:"attempt"`          // from 1
	Mapper  string   `json:"mapper"`           // the name of who has it
	Backup  string   `json:"backup,omitempty"` // and of who was given it as well
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

// SaverLoad is how busy a saver is. Older savers do not tell.
type SaverLoad struct {
	Queued        int     `json:"queued"`         // results that wait for their commit
	CommitSeconds float64 `json:"commit_seconds"` // the last group commit took
	SyncSeconds   float64 `json:"sync_seconds"`   // of which it waited for the disk
	Full          string  `json:"full,omitempty"` // why the sink takes nothing now: where, and how many bytes are free; "": it takes what comes
}

// Whole is the status with lists that are empty, not null, when encoded.
func (s Status) Whole() Status {
	s.Mappers, s.Versions, s.Gone, s.Stragglers = notNil(s.Mappers), notNil(s.Versions), notNil(s.Gone), notNil(s.Stragglers)
	return s
}

func notNil[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
