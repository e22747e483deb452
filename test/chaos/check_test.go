package chaos

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/chunkline/chunkline/test/proc"
)

// word is a line of a role's log, with the fields that tests use.
type word struct {
	Time           time.Time // in whole seconds
	Level, Message string

	Epoch       uint64 // "claimed the job"
	ChunksSaved uint64 `json:"chunks_saved"`

	Objects, Outputs, Dead, Chunks int // "job done"

	First   int // "piece saved": ordinal of its first object
	Outcome string
}

// words reads a log. It skips a line that a kill has cut off.
func words(p *proc.Process) (all []word) {
	for line := range strings.Lines(p.Log()) {
		var w word
		if json.Unmarshal([]byte(line), &w) == nil {
			all = append(all, w)
		}
	}
	return all
}

// checkWords checks the roles' logs: no panic and no data race; each claim gets a new
// epoch and finds no fewer chunks than the one before; mappers log "committed" once for
// a piece; and "job done" counts everything.
func (c *crew) checkWords() {
	c.T.Helper()
	for _, p := range c.all() {
		for _, bad := range []string{"panic: ", "DATA RACE", "fatal error: "} {
			if strings.Contains(p.Log(), bad) {
				c.T.Errorf("the log of %s has %q", p.Label, bad)
			}
		}
	}
	chunks := (c.Objects + chunkSize - 1) / chunkSize
	done := false
	var last word
	for _, w := range words(c.fetcher) {
		switch w.Message {
		case "claimed the job":
			if w.Epoch <= last.Epoch || w.ChunksSaved < last.ChunksSaved {
				c.T.Errorf("a claim got epoch %d and found %d chunks, after one with epoch %d and %d", w.Epoch, w.ChunksSaved, last.Epoch, last.ChunksSaved)
			}
			last = w
		case "job done":
			done = true
			if w.Objects != c.Objects || w.Outputs != c.Objects || w.Dead != 0 || w.Chunks != chunks {
				c.T.Errorf("the fetcher said done with %+v, want %d objects in %d chunks", w, c.Objects, chunks)
			}
		}
	}
	if !done {
		c.T.Errorf("%s never said that the job is done", c.fetcher.Label)
	}
	committed := map[int]string{}
	for _, p := range c.mappers {
		for _, w := range words(p) {
			if w.Message != "piece saved" || w.Outcome != "committed" {
				continue
			}
			if by, twice := committed[w.First]; twice {
				c.T.Errorf("the piece from object %d on was committed twice: for %s and for %s", w.First, by, p.Label)
			}
			committed[w.First] = p.Label
		}
	}
	if len(committed) == 0 {
		c.T.Errorf("no mapper was ever told that a piece is committed")
	}
}

// awaitSaved waits until a mapper logs that the piece from object first on is saved, with an outcome.
func awaitSaved(t *testing.T, mapper *proc.Process, first int, outcome string) {
	t.Helper()
	proc.Eventually(t, mapper.Label+"'s piece "+outcome, func() bool {
		for _, w := range words(mapper) {
			if w.Message == "piece saved" && w.First == first && w.Outcome == outcome {
				return true
			}
		}
		return false
	})
}
