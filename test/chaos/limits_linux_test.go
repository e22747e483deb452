//go:build long

package chaos

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/chunkline/chunkline/test/proc"
)

// TestFewFiles: while a role cannot open any file or socket, NATS is restarted, so
// that the role must reconnect. It logs the outage once, and continues when it can
// open sockets again.
func TestFewFiles(t *testing.T) {
	t.Parallel()
	for i, role := range []string{"fetcher", "saver", "mapper"} {
		t.Run(role, func(t *testing.T) {
			t.Parallel()
			j := newJob(t, 8_000)
			j.startNATS()
			j.startAll(2, "1s") // so that the job is not done before
			// The saver's files are open: for reading, only once it has committed several pieces of a chunk one after the other,
			// as those of chunk 0, whose mappers did not know yet how long an object takes.
			j.saver.Await(`"chunk":8,`)
			p := []*proc.Process{j.fetcher, j.saver, j.mappers[0]}[i]
			var normal unix.Rlimit
			limitFiles(t, p, nil, &normal)
			limitFiles(t, p, &unix.Rlimit{Max: normal.Max}, nil)
			j.kill(j.nats[0])
			j.nats[0].Start()
			p.Await("no connection to NATS")
			<-time.After(3 * time.Second) // many attempts to connect
			limitFiles(t, p, &normal, nil)
			j.hurry()
			j.finish()
			p.CheckOutages()
		})
	}
}

// limitFiles sets or gets the limit on a process's open files.
func limitFiles(t *testing.T, p *proc.Process, set, get *unix.Rlimit) {
	t.Helper()
	if err := unix.Prlimit(p.PID(), unix.RLIMIT_NOFILE, set, get); err != nil {
		t.Fatalf("limit %s: %v", p.Label, err)
	}
}
