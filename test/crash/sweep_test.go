//go:build long

package crash

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/chunkline/chunkline/internal/failpoint"
)

// TestSweep kills a process at failpoints, on the first hit of each and on as many as -hits says.
// The first hit must occur.
func TestSweep(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for name := range special {
		if !slices.Contains(failpoint.Names, name) {
			t.Errorf("there is no failpoint %s", name)
		}
	}
	type place struct {
		name string
		hit  int
	}
	var places []place
	for _, name := range failpoint.Names {
		for hit := 1; hit <= *hits; hit++ {
			places = append(places, place{name, hit})
		}
	}
	missed := make([]bool, len(places))
	each(t, places, func(p place) string { return fmt.Sprintf("%s:%d", p.name, p.hit) }, func(t *testing.T, p place) {
		process, s := at(p.name, p.hit)
		died := newJob(t, w).run(s)
		if slices.Equal(died[process], s.lives[process]) {
			return
		}
		if p.hit == 1 {
			t.Errorf("%s died at %s, not at %s", process, died[process], s.lives[process])
		}
		missed[slices.Index(places, p)] = true
	})
	var rare [4][]string // by the hit
	for i, p := range places {
		if missed[i] {
			rare[p.hit] = append(rare[p.hit], p.name)
		}
	}
	for hit, names := range rare {
		if len(names) > 0 {
			t.Logf("%d of %d names are not hit a %d. time in their job: %s", len(names), len(failpoint.Names), hit, strings.Join(names, " "))
		}
	}
}

// victim returns the process that reaches a failpoint.
func victim(name string) string {
	switch role, _, _ := strings.Cut(name, "."); role {
	case "sink":
		return "saver"
	case "mapper":
		return "first"
	default:
		return role
	}
}

// at returns a job in which a process reaches a failpoint.
func at(name string, hit int) (process string, s script) {
	process = victim(name)
	s = special[name]
	lives := maps.Clone(s.lives)
	if lives == nil {
		lives = map[string][]string{}
	}
	lives[process] = append(slices.Clone(lives[process]), fmt.Sprintf("%s:%d", name, hit))
	s.lives = lives
	if special[name].lives == nil && special[name].env == nil {
		s.alone = process == "first" // so that it is sure to get work
	}
	return process, s
}

var oneChunk = fmt.Sprintf("CHUNK_SIZE=%d", objects)

var (
	// torn leaves an incomplete commit at the end of the log.
	torn = script{lives: map[string][]string{"saver": {"sink.write.log.half:2"}}}
	// mapperDies kills a mapper that holds a chunk. No backup attempt saves the chunk before the
	// fetcher notices.
	mapperDies = script{
		lives: map[string][]string{"first": {"mapper.chunk.taken:1"}},
		env:   map[string][]string{"fetcher": {"SPECULATE=false"}},
		alone: true,
	}
	// careful: two mappers die with the first object, which is a piece of its own as long as no
	// mapper's pace is known. The object that the third one has announced when it dies may become a
	// dead letter. A backup attempt would not be careful.
	careful = script{
		lives: map[string][]string{"first": {"mapper.chunk.taken:1", "mapper.chunk.taken:1"}},
		env:   map[string][]string{"fetcher": {oneChunk, "SPECULATE=false"}, "first": {"WORKERS=1"}, "second": {"WORKERS=1"}},
		alone: true, missed: true, dead: "any",
	}
	// deadLettered: the mapper of the careful attempt dies too, before it announces an object, and
	// MAX_ATTEMPTS is reached.
	deadLettered = script{
		lives: map[string][]string{"first": {"mapper.chunk.taken:1", "mapper.chunk.taken:1", "mapper.careful.begun:1"}},
		env:   map[string][]string{"fetcher": {oneChunk, "MAX_ATTEMPTS=1", "SPECULATE=false"}, "first": {"WORKERS=1"}, "second": {"WORKERS=1"}},
		alone: true, missed: true, dead: "any",
	}
	// slow: the first mapper's chunks get a backup attempt, and the fetcher orders it to drop them.
	slow = script{env: map[string][]string{
		"first":  {"TRANSFORM=users?duration=1h"},
		"second": {"TRANSFORM=users?duration=50ms", "WORKERS=1"},
	}}
)

// special lists the jobs for failpoints that an undisturbed job does not reach.
var special = map[string]script{
	"sink.truncate.log":           torn,
	"fetcher.page.listed":         {lives: map[string][]string{"fetcher": {"fetcher.saved.booked:1"}}},
	"fetcher.mapper.lost":         mapperDies,
	"fetcher.doubts.settled":      mapperDies,
	"fetcher.deadletter.sending":  deadLettered,
	"fetcher.deadletter.answered": deadLettered,
	"mapper.careful.begun":        careful,
	"mapper.announce.sent":        careful,
	"mapper.announce.flushed":     careful,
	"mapper.order.received":       slow,
	"mapper.order.answered":       slow,
}
