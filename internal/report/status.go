package report

import (
	"time"

	"github.com/chunkline/chunkline/internal/chunk"
)

// JobState is the state of a job.
type JobState string

// The states of a job.
const (
	StateStarting  JobState = "starting"  // waits for the saver to accept the claim
	StateRunning   JobState = "running"   // also while paused
	StateFinishing JobState = "finishing" // everything is saved; the saver merges the results
	StateDone      JobState = "done"
	StateCancelled JobState = "cancelled"
	StateFailed    JobState = "failed"
)

// Status is the fetcher's report about its job.
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
	Waiting    int             `json:"waiting"`    // requests for work without an answer so far
	SaverAway  bool            `json:"saver_away"` // the saver does not answer
	Saver      SaverLoad       `json:"saver"`      // as it last reported
	Shadow     *ShadowStatus   `json:"shadow,omitempty"`
	Bottleneck *Bottleneck     `json:"bottleneck,omitempty"`
	RateLimit  float64         `json:"rate_limit"` // objects per second at most, retries included; 0: no limit
	Progress   float64         `json:"progress"`   // 0 to 1, by objects saved
	Rate       float64         `json:"rate"`       // objects saved per second
	ETASeconds *float64        `json:"eta_seconds,omitempty"`
	StartedAt  time.Time       `json:"started_at,omitzero"`
	Seconds    float64         `json:"seconds"` // since StartedAt
	Mappers    []MapperStatus  `json:"mappers"`
	Wanted     int             `json:"wanted_mappers"` // how many mappers the job can use or needs, for an autoscaler
	Versions   []VersionStatus `json:"versions"`       // of mappers, by name
	Gone       []GoneMapper    `json:"gone"`           // the latest first, at most MaxGone
	Stragglers []Straggler     `json:"stragglers"`     // the longest first, at most MaxStragglers
	Summary    Summary         `json:"summary"`        // what the sink holds
}

// Limits of the lists in a Status.
const (
	MaxGone       = 50
	MaxStragglers = 50
)

// ObjectCounts counts objects.
type ObjectCounts struct {
	Cut     uint64 `json:"cut"` // read from the source so far
	Saved   uint64 `json:"saved"`
	Outputs uint64 `json:"outputs"` // lines made of them
	Dead    uint64 `json:"dead"`    // dead letters; they count as saved
}

// ChunkCounts counts chunks.
type ChunkCounts struct {
	Cut         uint64 `json:"cut"`
	Ready       uint64 `json:"ready"`
	InFlight    uint64 `json:"in_flight"`
	Saved       uint64 `json:"saved"`
	Redelivered uint64 `json:"redelivered"` // pieces of them that were handed out again
	Duplicates  uint64 `json:"duplicates"`  // results that the sink already had
	Backups     uint64 `json:"backups"`     // stragglers that a second mapper got, too
	BackupWins  uint64 `json:"backup_wins"` // backups whose result was saved first
}

// Mapper names a mapper process.
type Mapper struct {
	ID      string `json:"id"`      // unique to this start of the process
	Name    string `json:"name"`    // host or pod
	Version string `json:"version"` // of the software that maps

	// Transform identifies its transform, in up to 256 bytes; "": it gets the transform from the fetcher.
	Transform string `json:"transform"`
	// Declared says that VERSION was set. Only then may the mapper's transform differ from that of other versions.
	Declared bool `json:"-"`
}

// MapperState is what a mapper is doing.
type MapperState string

// The states of a mapper.
const (
	MapperWorking  MapperState = "working"  // it holds pieces
	MapperIdle     MapperState = "idle"     // it waits for work
	MapperSilent   MapperState = "silent"   // it missed two heartbeats, and the fetcher pings it
	MapperDraining MapperState = "draining" // it finishes what it holds
)

// MapperStatus describes a connected mapper.
type MapperStatus struct {
	Mapper
	State           MapperState `json:"state"`
	Held            int         `json:"held"`  // pieces that it holds now
	Saved           uint64      `json:"saved"` // its pieces that were saved
	Rate            float64     `json:"rate"`  // its objects that were saved per second, over the last 10 s or its last two pieces
	Slow            bool        `json:"slow"`  // it holds a straggler, or its workers are less than half as fast as those of the median mapper
	LastBeatSeconds float64     `json:"last_beat_seconds"`
	Notice          string      `json:"notice,omitempty"` // the problem of its transform, as the mapper describes it
}

// VersionStatus describes a version of mappers. Counts are since the fetcher started.
type VersionStatus struct {
	Version       string    `json:"version"`
	Mappers       int       `json:"mappers"`    // that are connected
	Held          int       `json:"held"`       // pieces
	HandedOut     uint64    `json:"handed_out"` // pieces
	Saved         uint64    `json:"saved"`      // pieces
	Vanished      uint64    `json:"vanished"`   // pieces whose mapper vanished with them
	Objects       uint64    `json:"objects"`    // saved
	Dead          uint64    `json:"dead"`       // dead letters among them
	Rate          float64   `json:"rate"`       // objects saved a second
	ObjectSeconds Quantiles `json:"object_seconds"`
	Share         float64   `json:"share"` // the share of all chunks that it gets at most, 0 to 1
	// BreakerOpenSeconds is the time until the version's circuit breaker lets a probe through; 0: it is half-open; nil:
	// it is closed.
	BreakerOpenSeconds *float64 `json:"breaker_open_seconds,omitempty"`
}

// Quantiles are of the last 200 pieces: the seconds from hand-out to confirmation, divided by the number of their
// objects.
type Quantiles struct {
	P50 float64 `json:"p50"`
	P95 float64 `json:"p95"`
}

// ShadowStatus is a shadow run: mappers of a version get copies of saved chunks, and the saver compares their results
// with the saved ones.
type ShadowStatus struct {
	Version   string  `json:"version"`
	Share     float64 `json:"share"`      // of the saved chunks, 0 to 1
	HandedOut uint64  `json:"handed_out"` // copies, since this run began
}

// GoneMapper is a mapper that is no longer connected.
type GoneMapper struct {
	Mapper
	Saved   uint64  `json:"saved"`   // its pieces that were saved
	Why     string  `json:"why"`     // it said goodbye, fell silent, or lost its connection
	Lost    int     `json:"lost"`    // pieces that it held
	Seconds float64 `json:"seconds"` // since then
}

// Straggler is a chunk that takes far longer than the others.
type Straggler struct {
	Chunk   chunk.ID `json:"chunk"`
	Seconds float64  `json:"seconds"`          // in flight
	Attempt int      `json:"attempt"`          // from 1
	Mapper  string   `json:"mapper"`           // name of the mapper that has it
	Backup  string   `json:"backup,omitempty"` // name of the mapper that has its backup attempt
}

// Summary counts what the sink holds.
type Summary struct {
	Chunks      uint64 `json:"chunks"`
	Objects     uint64 `json:"objects"`
	Outputs     uint64 `json:"outputs"` // lines
	Dead        uint64 `json:"dead"`
	OutputBytes uint64 `json:"output_bytes"`
	Output      string `json:"output"`    // where the ordered outputs are, once the job is done
	DeadFile    string `json:"dead_file"` // where the ordered dead letters are; "": there are none
}

// SaverLoad describes how busy a saver is. Older savers do not report it.
type SaverLoad struct {
	ID            string  `json:"id"`             // random; of the process
	Queued        int     `json:"queued"`         // results that wait for their commit
	CommitSeconds float64 `json:"commit_seconds"` // duration of the last group commit
	SyncSeconds   float64 `json:"sync_seconds"`   // the part of it that was disk sync
	Duplicates    uint64  `json:"duplicates"`     // results that the sink already had, since the process started
	Full          string  `json:"full,omitempty"` // why the sink accepts no results: where, and how many bytes are free; "": it accepts them
}

// Whole returns s with empty lists instead of nil ones, so that JSON has [], not null.
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
