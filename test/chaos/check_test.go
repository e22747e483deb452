package chaos

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/chunkline/chunkline/test/proc"
)

// word is a line of a role's log.
type word struct {
	Time           time.Time // in whole seconds
	Level, Message string

	Epoch       uint64 // "claimed the job"
	ChunksSaved uint64 `json:"chunks_saved"`

	Objects, Outputs, Dead, Chunks int // "job done"

	First   int // "piece saved": ordinal of its first object
	Outcome string
}

// words reads a log. A line that a kill has torn is left out.
func words(p *proc.Process) (all []word) {
	for line := range strings.Lines(p.Log()) {
		var w word
		if json.Unmarshal([]byte(line), &w) == nil {
			all = append(all, w)
		}
	}
	return all
}

// checkWords holds what the roles have said against what is true: nobody
// panicked or raced, each claim has a new epoch and finds no less than the one
// before, "committed" is said once for a chunk, and "job done" counts all.
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

// awaitSaved waits until a mapper was told that the piece from an object on is saved, and how.
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
