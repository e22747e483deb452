//go:build endurance && linux

package endurance

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/internal/source"
	"github.com/chunkline/chunkline/test/proc"
)

const (
	chunkSize = 100
	exitDead  = 4 // of a job that has dead letters
	seed      = 1 // of the users
)

func chunks() int { return (*objects + chunkSize - 1) / chunkSize }

// world is the processes of a job, their samples and counts of their faults.
type world struct {
	*proc.Job

	dead     []string   // ordinals of the objects that cannot be mapped
	watched  []*watched // all processes, in the order of their start
	nats     *watched
	saver    *watched
	fetcher  *watched
	killable []*watched // mappers that are killed now and then
	kills    int
	drains   int
	restarts map[string]int // by label
}

// watched is a process that is restarted after a fault, and its samples from
// before and after.
type watched struct {
	*proc.Process

	web     bool // it serves HTTP
	samples []sample
}

// newWorld starts everything.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{Job: proc.NewJob(t, "endurance"), restarts: map[string]int{}}
	w.Source, w.Objects = filepath.Join(w.Dir, "users.jsonl"), *objects
	if err := w.writeSource(); err != nil {
		t.Fatal(err)
	}
	w.nats = w.add(w.NATS(), false)
	w.saver = w.add(w.Saver(proc.HTTP()), true)
	w.fetcher = w.add(w.Fetcher(proc.HTTP(), "ON_DONE=stay", "RATE="+strconv.Itoa(*rate)), true)
	for i := range *mappers {
		m := w.add(w.Mapper(fmt.Sprint("mapper-", i), "users?duration=50ms", proc.HTTP(), "WORKERS=4"), true)
		if i%2 == 1 {
			w.killable = append(w.killable, m)
		}
	}
	return w
}

func (w *world) add(p *proc.Process, web bool) *watched {
	added := &watched{Process: p, web: web}
	w.watched = append(w.watched, added)
	return added
}

// deadEvery: one chunk of 125 (0.8 %) has an object that cannot be mapped.
const deadEvery = 125

// writeSource writes the users. Some are replaced by valid JSON that the transform
// refuses.
func (w *world) writeSource() (err error) {
	file, err := os.Create(w.Source)
	if err != nil {
		return fmt.Errorf("write source: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	out := bufio.NewWriterSize(file, 1<<20)
	s := &spoiler{out: out}
	if err := source.WriteUsers(w.T.Context(), s, *objects, seed); err != nil {
		return err
	}
	w.dead = s.dead
	return out.Flush()
}

// spoiler replaces one object in the middle of every deadEvery-th chunk.
type spoiler struct {
	out     *bufio.Writer
	ordinal int
	begun   bool // in the middle of a line
	dead    []string
}

// Write accepts any part of the lines.
func (s *spoiler) Write(text []byte) (int, error) {
	for _, b := range text {
		spoil := s.ordinal/chunkSize%deadEvery == 5 && s.ordinal%chunkSize == 57
		if spoil && !s.begun {
			s.dead = append(s.dead, strconv.Itoa(s.ordinal))
			fmt.Fprintf(s.out, `{"uuid":"spoiled","number":%d}`, s.ordinal)
		}
		s.begun = true
		if !spoil || b == '\n' {
			_ = s.out.WriteByte(b) // Flush returns the error
		}
		if b == '\n' {
			s.ordinal, s.begun = s.ordinal+1, false
		}
	}
	return len(text), nil
}

// faults describes the faults and their effect on the job.
func (w *world) faults(s report.Status) string {
	dead := len(w.dead)
	share := float64(dead+int(s.Chunks.Redelivered)+int(s.Chunks.Duplicates)) / float64(chunks()) * 100
	return fmt.Sprintf(`what went wrong
  objects that cannot be mapped          %d
  mappers killed                         %d
  mappers stopped by SIGTERM             %d
  saver killed, nats-server killed       %d, %d
  chunks redelivered, saved twice        %d, %d
  backups, and those that were first     %d, %d
  chunks with a fault, at most           %.2f %% of %d
`, dead, w.kills, w.drains, w.restarts["saver"], w.restarts["nats-server"], s.Chunks.Redelivered, s.Chunks.Duplicates,
		s.Chunks.Backups, s.Chunks.BackupWins, share, chunks())
}
