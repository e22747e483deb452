package sink

import (
	"slices"

	"github.com/chunkline/chunkline/internal/chunk"
)

// formatVersion is the version of the log's format. Folders of other versions are not touched.
const formatVersion = 4

// Claims records the owner of the sink, and which results it refuses. It changes when a fetcher claims the job and when
// a version is fenced.
type Claims struct {
	Format    int         `json:"format"`
	Job       string      `json:"job"`
	ID        string      `json:"id"` // random ID of this sink
	Plan      *chunk.Plan `json:"plan,omitempty"`
	Key       []byte      `json:"key,omitempty"`
	Epoch     uint64      `json:"epoch"`
	Claimants []Claimant  `json:"claimants,omitempty"` // by ascending epoch

	Terms map[string]uint64 `json:"terms,omitempty"` // how often versions of mappers were fenced

	Transforms map[string]string `json:"transforms,omitempty"` // of the versions whose results are in the sink
}

// A Claimant is a fetcher that has claimed the job.
type Claimant struct {
	Fetcher string `json:"fetcher"`
	Epoch   uint64 `json:"epoch"`
}

// maxClaimants is how many fetchers are remembered. A forgotten fetcher that comes back counts as a new one: it takes
// over instead of being fenced.
const maxClaimants = 64

// Totals is a sum over records.
type Totals struct {
	Chunks      uint64 `json:"chunks"` // with all their objects
	Objects     uint64 `json:"objects"`
	Outputs     uint64 `json:"outputs"`
	Dead        uint64 `json:"dead"`
	OutputBytes uint64 `json:"output_bytes"`
	DeadBytes   uint64 `json:"dead_bytes"`
}

// Add adds a record, except to Chunks, which its owner updates: one record does not show whether its chunk is complete.
func (t *Totals) Add(r *Record) {
	t.Objects += uint64(r.Objects)
	t.Outputs += r.OutputCount()
	t.Dead += uint64(r.DeadCount)
	t.OutputBytes += uint64(r.Outputs.Length)
	t.DeadBytes += uint64(r.Dead.Length)
}

// Summary returns the totals as a summary.
func (t *Totals) Summary() Summary {
	return Summary{Chunks: t.Chunks, Objects: t.Objects, Outputs: t.Outputs, Dead: t.Dead, OutputBytes: t.OutputBytes}
}

// Remove subtracts another sum, except Chunks.
func (t *Totals) Remove(o Totals) {
	t.Objects -= o.Objects
	t.Outputs -= o.Outputs
	t.Dead -= o.Dead
	t.OutputBytes -= o.OutputBytes
	t.DeadBytes -= o.DeadBytes
}

// Totals returns the totals of one record.
func (r *Record) Totals() (t Totals) {
	t.Add(r)
	return t
}

// finished records where Finish put the ordered files, relative to the folder. It is cleared when the content changes.
type finished struct {
	Output   string `json:"output"`    // "" with NoOutput
	DeadFile string `json:"dead_file"` // "" if there are no dead letters
}

// merged is the record of a step of Finish.
type merged struct {
	Written  *written  `json:"written"`
	Finished *finished `json:"finished"` // nil: the files are not in place
}

// state is the content of the log, except for the table of chunks. A published *state is never changed.
//
// Invariant: it equals the log on disk.
type state struct {
	claims   *Claims
	totals   Totals
	written  *written
	finished *finished
	content  uint64 // incremented by each change of the committed pieces

	replaced chan struct{} // closed when this is no longer the current state
}

// change records a change of the committed pieces: the merged files are no longer complete.
func (s *state) change() {
	s.content++
	s.finished = nil
}

// next returns a copy for the next change. Pointers are shared: replace their targets.
func (s *state) next() *state {
	n := *s
	n.replaced = make(chan struct{})
	return &n
}

// claimedBy finds a fetcher among the claimants.
func (c *Claims) claimedBy(fetcher string) (Claimant, bool) {
	i := slices.IndexFunc(c.Claimants, func(o Claimant) bool { return o.Fetcher == fetcher })
	if i < 0 {
		return Claimant{}, false
	}
	return c.Claimants[i], true
}
