package chaos

import (
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/test/proc"
)

// TestFreeze: NATS is frozen in the middle of a job, so that connections stay
// open and nothing moves. Meanwhile the roles' probes answer; each role says
// once that there is no connection to NATS; when it goes on, so does the job; and nothing of the
// many attempts is left behind.
func TestFreeze(t *testing.T) {
	t.Parallel()
	c := newCrew(t, 8_000)
	c.startNATS()
	roles := []*proc.Process{c.startSaver(proc.HTTP()), c.startFetcher(proc.HTTP(), "ON_DONE=stay")}
	for range 2 {
		roles = append(roles, c.addMapper("100ms", proc.HTTP(), "WORKERS=2"))
	}
	c.fetcher.AwaitStatus("some chunks saved", func(s report.Status) bool { return s.Chunks.Saved >= 20 })

	before := map[*proc.Process]map[string]float64{}
	for _, p := range roles {
		before[p] = gauges(t, p)
	}
	c.nats[0].Signal(syscall.SIGSTOP)
	thaw := time.Now().Add(*freeze)
	proc.Eventually(t, "all roles to notice that NATS is frozen", func() bool {
		for _, p := range roles {
			if code, _ := p.Get("/healthz"); code != http.StatusOK {
				t.Errorf("%s answered its health probe with %d while NATS was frozen", p.Label, code)
			}
		}
		return time.Now().After(thaw) && allAway(roles)
	})
	var s report.Status
	if !c.fetcher.GetJSON("/api/status", &s) || s.State != report.StateRunning {
		t.Fatalf("the job is %q while NATS is frozen, want running", s.State)
	}
	c.done()
	c.nats[0].Signal(syscall.SIGCONT)
	c.fetcher.AwaitStatus("end of the job", func(s report.Status) bool { return s.State == report.StateDone })
	for _, p := range roles {
		for name, now := range gauges(t, p) {
			if was := before[p][name]; now > was+10 {
				t.Errorf("%s has %s %g after NATS was frozen, %g before", p.Label, name, now, was)
			}
		}
	}
	c.fetcher.Signal(syscall.SIGTERM)
	c.finish()
	for _, p := range roles {
		said := map[string]int{}
		for _, w := range words(p) {
			if w.Level != "debug" {
				said[w.Message]++
			}
		}
		if n := said[away]; n != 1 {
			t.Errorf("%s said %d times that there is no connection to NATS, want 1", p.Label, n)
		}
		for message, n := range said {
			if n > 4 && message != "progress" { // what concerns each of the two mappers, before and after; progress is said every 10 s
				t.Errorf("%s said %d times %q", p.Label, n, message)
			}
		}
	}
}

// away is what a role says when its connection is gone. That nobody answers it
// comes sooner, and is not the same.
const away = "no connection to NATS, trying to connect"

// allAway says whether every role knows that there is no connection to NATS, and that it cannot work.
func allAway(roles []*proc.Process) bool {
	for _, p := range roles {
		if code, _ := p.Get("/readyz"); code != http.StatusServiceUnavailable || !strings.Contains(p.Log(), away) {
			return false
		}
	}
	return true
}

// gauges reads what a role has open and runs.
func gauges(t *testing.T, p *proc.Process) map[string]float64 {
	t.Helper()
	values := map[string]float64{}
	for _, name := range []string{"go_goroutines", "process_open_fds"} {
		value, ok := p.Gauge(name)
		if !ok {
			t.Fatalf("%s tells no %s", p.Label, name)
		}
		values[name] = value
	}
	return values
}
