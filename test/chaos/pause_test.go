//go:build long

package chaos

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/test/proc"
)

// TestPausedFetcher: a fetcher that was stopped for longer than all leases does not
// count that time as the mappers' silence. It declares no mapper dead, and redelivers
// no chunk that a mapper holds.
func TestPausedFetcher(t *testing.T) {
	t.Parallel()
	const (
		lease = 3 * time.Second
		pause = 7 * time.Second
	)
	j := newJob(t, 200*chunkSize)
	j.startNATS()
	j.startSaver()
	j.startFetcher(proc.HTTP(), "SPECULATE=false", "ON_DONE=stay")
	j.addMapper("10s", "WORKERS=1") // holds its chunk all the time
	j.addMapper("1s", "WORKERS=2")  // so that the job is not done before
	j.fetcher.AwaitStatus("all workers at work", func(s report.Status) bool { return s.Chunks.InFlight == 3 })

	j.fetcher.Stop()
	<-time.After(pause)
	awake := time.Now().Truncate(time.Second) // as in the log
	j.fetcher.Signal(syscall.SIGCONT)
	j.hurry()

	s := j.fetcher.AwaitStatus("end of the job", func(s report.Status) bool { return s.State == report.StateDone })
	if s.Objects.Saved != uint64(j.Objects) {
		t.Errorf("the fetcher counts %d objects saved, want %d", s.Objects.Saved, j.Objects)
	}
	if s.Chunks.Duplicates != 0 && j.fetcher.FellSilent() == 0 {
		t.Errorf("%d chunks were mapped twice: %+v", s.Chunks.Duplicates, s)
	}
	for _, w := range entries(j.fetcher) { // more than a lease later, a mapper may really have been silent
		if strings.HasSuffix(w.Message, "its pieces are requeued") && !w.Time.Before(awake) && w.Time.Before(awake.Add(lease)) {
			t.Errorf("%s: %s, because the fetcher was away itself", w.Time, w.Message)
		}
	}
	j.fetcher.Signal(syscall.SIGTERM)
	j.finish()
}

// gated maps users once the file in GATE exists.
const gated = `exec:["sh", "-c", "until test -e \"$GATE\"; do sleep 0.1; done; ` +
	`exec sed -u 's/^{\"uuid\":\\(\"[^\"]*\"\\),\"fn\":\\(\"[^\"]*\\)\",\"ln\":\"\\([^\"]*\"\\).*$/{\"id\":\\1,\"name\":\\2 \\3}/'"]`

// TestPausedMapper: a mapper that was stopped for longer than its lease sends its result
// after another mapper's result of the same chunk was saved. The saver answers that it
// is a duplicate.
func TestPausedMapper(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ chunks int }{
		"in the job":    {400},
		"after the job": {4},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j := newJob(t, test.chunks*chunkSize)
			j.startNATS()
			j.startSaver()
			j.startFetcher(proc.HTTP(), "SPECULATE=false") // else it orders the paused mapper to drop its chunk
			gate := filepath.Join(j.Dir, "gate")
			paused := j.addMapperOf(gated, "GATE="+gate, "WORKERS=1", "TIMEOUT=1h")
			j.fetcher.AwaitStatus("a chunk in flight", func(s report.Status) bool { return s.Chunks.InFlight == 1 })
			paused.Stop()

			j.addMapperOf(gated, "GATE=/", "WORKERS=2")
			awaitPiece(t, j.saver, 0, "piece committed", "") // the fetcher may order the mapper to drop it before the saver's answer arrives
			j.fetcher.Stop()                                 // else it may order the paused mapper to drop its chunk now
			if err := os.WriteFile(gate, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			paused.Signal(syscall.SIGCONT)
			awaitPiece(t, paused, 0, "piece saved", "duplicate")
			j.fetcher.Signal(syscall.SIGCONT)
			j.finish()
		})
	}
}

// TestReplaced: another fetcher takes over from one that runs or is stopped. The first
// one exits with 1, logs why and does no harm, whether it continues in the middle of the
// job or after it. A fetcher of another plan is refused.
func TestReplaced(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		stopped bool // while the new one takes over
		done    bool // the new one is done before the old one goes on
	}{
		"beside it":     {},
		"in the job":    {stopped: true},
		"after the job": {stopped: true, done: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j := newJob(t, 400*chunkSize)
			j.startNATS()
			j.startSaver()
			j.startFetcher(proc.HTTP())
			for range 2 {
				j.addMapper("1s", "WORKERS=2") // so that the job is not done before
			}
			j.fetcher.AwaitStatus("some chunks saved", func(s report.Status) bool { return s.Chunks.Saved >= 4 })
			old := j.fetcher
			if test.stopped {
				old.Stop()
			} else if other := j.newFetcher("other", "CHUNK_SIZE=7"); other.Exit() != 1 || !strings.Contains(other.Log(), "another plan") {
				t.Errorf("a fetcher of another plan: exit code %d, want 1, saying why", other.Code())
			}

			j.fetcher = j.newFetcher("successor")
			if test.done {
				j.hurry()
				j.fetcher.Exit()
			} else {
				j.fetcher.Await("fetcher serves")
			}
			if j.done() != test.done {
				t.Fatalf("the job is done: %t, want %t", j.done(), test.done)
			}
			old.Signal(syscall.SIGCONT)
			if code := old.Exit(); code != 1 || !strings.Contains(old.Log(), "another fetcher has taken over") {
				t.Errorf("the replaced fetcher: exit code %d, want 1, saying why", code)
			}
			if !test.done {
				j.hurry()
			}
			j.finish()
		})
	}
}
