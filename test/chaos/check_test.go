//go:build long

package chaos

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chunkline/chunkline/test/proc"
)

// entry is a line of a role's log, with the fields that tests use.
type entry struct {
	Time           time.Time // in whole seconds
	Level, Message string

	Epoch       uint64 // "claimed the job"
	ChunksSaved uint64 `json:"chunks_saved"`

	Objects, Outputs, Dead, Chunks int // "job done"

	First   int // "piece saved", "piece committed": ordinal of its first object
	Outcome string
}

// entries reads a log. It skips a line that a kill has cut off.
func entries(p *proc.Process) (all []entry) {
	for line := range strings.Lines(p.Log()) {
		var w entry
		if json.Unmarshal([]byte(line), &w) == nil {
			all = append(all, w)
		}
	}
	return all
}

// checkLogs checks the roles' logs: no panic and no data race; each claim gets a new
// epoch and finds no fewer chunks than the one before; mappers log "committed" once for
// a piece; and "job done" counts everything.
func (j *job) checkLogs() {
	j.T.Helper()
	for _, p := range j.all() {
		for _, bad := range []string{"panic: ", "DATA RACE", "fatal error: "} {
			if strings.Contains(p.Log(), bad) {
				j.T.Errorf("the log of %s has %q", p.Label, bad)
			}
		}
	}
	chunks := (j.Objects + chunkSize - 1) / chunkSize
	done := false
	var last entry
	for _, w := range entries(j.fetcher) {
		switch w.Message {
		case "claimed the job":
			if w.Epoch <= last.Epoch || w.ChunksSaved < last.ChunksSaved {
				j.T.Errorf("a claim got epoch %d and found %d chunks, after one with epoch %d and %d", w.Epoch, w.ChunksSaved, last.Epoch, last.ChunksSaved)
			}
			last = w
		case "job done":
			done = true
			if w.Objects != j.Objects || w.Outputs != j.Objects || w.Dead != 0 || w.Chunks != chunks {
				j.T.Errorf("the fetcher logged done with %+v, want %d objects in %d chunks", w, j.Objects, chunks)
			}
		}
	}
	if !done {
		j.T.Errorf("%s did not log that the job is done", j.fetcher.Label)
	}
	committed := map[int]string{}
	for _, p := range j.mappers {
		for _, w := range entries(p) {
			if w.Message != "piece saved" || w.Outcome != "committed" {
				continue
			}
			if by, twice := committed[w.First]; twice {
				j.T.Errorf("the piece from object %d on was committed twice: for %s and for %s", w.First, by, p.Label)
			}
			committed[w.First] = p.Label
		}
	}
	if len(committed) == 0 {
		j.T.Errorf("no mapper logged that a piece is committed")
	}
}

// awaitPiece waits until a process logs a message about the piece from object first on, with an outcome; "" if the
// message has none.
func awaitPiece(t *testing.T, p *proc.Process, first int, message, outcome string) {
	t.Helper()
	proc.Eventually(t, fmt.Sprintf("%s: %s %s", p.Label, message, outcome), func() bool {
		return slices.ContainsFunc(entries(p), func(w entry) bool { return w.Message == message && w.First == first && w.Outcome == outcome })
	})
}
