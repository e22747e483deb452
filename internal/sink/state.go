package sink

import (
	"slices"

	"github.com/chunkline/chunkline/internal/chunk"
)

// formatVersion is the log's. A folder of another one is not touched.
const formatVersion = 4

// claims is who the sink belongs to, and whose results it takes no more. It changes with a claim, and when a version is fenced.
type claims struct {
	Format    int         `json:"format"`
	Job       string      `json:"job"`
	ID        string      `json:"id"` // of this sink, random
	Plan      *chunk.Plan `json:"plan,omitempty"`
	Key       []byte      `json:"key,omitempty"`
	Epoch     uint64      `json:"epoch"`
	Claimants []claimant  `json:"claimants,omitempty"` // by ascending epoch

	Terms map[string]uint64 `json:"terms,omitempty"` // how often versions of mappers were fenced

	Transforms map[string]string `json:"transforms,omitempty"` // of the versions that made what is there
}

type claimant struct {
	Fetcher string `json:"fetcher"`
	Epoch   uint64 `json:"epoch"`
}

// maxClaimants is how many fetchers are remembered. One that is forgotten and
// comes back is taken for a new one: it takes over, instead of being fenced.
const maxClaimants = 64

// totals is a sum over records.
type totals struct {
	Chunks      uint64 `json:"chunks"` // with all their objects
	Objects     uint64 `json:"objects"`
	Outputs     uint64 `json:"outputs"`
	Dead        uint64 `json:"dead"`
	OutputBytes uint64 `json:"output_bytes"`
	DeadBytes   uint64 `json:"dead_bytes"`
}

// add adds a record, and leaves Chunks to apply: one record does not tell whether its chunk is whole.
func (t *totals) add(r *Record) {
	t.Objects += uint64(r.Objects)
	t.Outputs += r.OutputCount()
	t.Dead += uint64(r.DeadCount)
	t.OutputBytes += uint64(r.Outputs.Length)
	t.DeadBytes += uint64(r.Dead.Length)
}

// remove takes off what another sum has, but for Chunks.
func (t *totals) remove(o totals) {
	t.Objects -= o.Objects
	t.Outputs -= o.Outputs
	t.Dead -= o.Dead
	t.OutputBytes -= o.OutputBytes
	t.DeadBytes -= o.DeadBytes
}

// totals is the sum over one record.
func (r *Record) totals() (t totals) {
	t.add(r)
	return t
}

// finished says where Finish put the ordered files, relative to the folder. It
// goes when the content changes.
type finished struct {
	Output   string `json:"output"`
	DeadFile string `json:"dead_file"` // "" if there are no dead letters
}

// merged is the record of a step of Finish.
type merged struct {
	Written  *written  `json:"written"`
	Finished *finished `json:"finished"` // nil: the files are not in their places
}

// state is what the log says, but for the table of chunks. A *state that was
// published is never changed.
//
// Invariant: it is what the log has on disk.
type state struct {
	claims   *claims
	totals   totals
	written  *written
	finished *finished
	content  uint64 // grows with each change of what chunks are there
}

// change notes a change of chunks: what was merged is not all there is any more.
func (s *state) change() {
	s.content++
	s.finished = nil
}

// next is a copy to change. What it points to is shared: replace it.
func (s *state) next() *state {
	n := *s
	return &n
}

// claimedBy finds a fetcher among the claimants.
func (c *claims) claimedBy(fetcher string) (claimant, bool) {
	i := slices.IndexFunc(c.Claimants, func(o claimant) bool { return o.Fetcher == fetcher })
	if i < 0 {
		return claimant{}, false
	}
	return c.Claimants[i], true
}
