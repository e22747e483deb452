package chaos

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/chunkline/chunkline/test/proc"
)

// TestFewFiles: a role cannot open anything for a while, sockets included,
// while NATS is restarted, so that it must connect anew. It says so once, and
// goes on when it can.
func TestFewFiles(t *testing.T) {
	t.Parallel()
	for i, role := range []string{"fetcher", "saver", "mapper"} {
		t.Run(role, func(t *testing.T) {
			t.Parallel()
			c := newCrew(t, 8_000)
			c.startNATS()
			c.startAll(2, "1s")              // so the job is not done before
			c.saver.Await("piece committed") // it has the files that it writes to
			p := []*proc.Process{c.fetcher, c.saver, c.mappers[0]}[i]
			var normal unix.Rlimit
			limitFiles(t, p, nil, &normal)
			limitFiles(t, p, &unix.Rlimit{Max: normal.Max}, nil)
			c.kill(c.nats[0])
			c.nats[0].Start()
			p.Await("no connection to NATS")
			<-time.After(3 * time.Second) // many attempts to connect
			limitFiles(t, p, &normal, nil)
			c.hurry()
			c.finish()
			p.CheckOutages()
		})
	}
}

// limitFiles sets how many files a process may have open, or tells it.
func limitFiles(t *testing.T, p *proc.Process, set, get *unix.Rlimit) {
	t.Helper()
	if err := unix.Prlimit(p.PID(), unix.RLIMIT_NOFILE, set, get); err != nil {
		t.Fatalf("limit %s: %v", p.Label, err)
	}
}
