//go:build long

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

// TestFreeze: NATS is frozen in the middle of a job, so that connections stay open
// without traffic. Meanwhile the roles answer health probes, and each logs the outage
// once. When NATS continues, so does the job, and the attempts to connect leave no
// descriptors or goroutines behind.
func TestFreeze(t *testing.T) {
	t.Parallel()
	j := newJob(t, 8_000)
	j.startNATS()
	roles := []*proc.Process{j.startSaver(proc.HTTP()), j.startFetcher(proc.HTTP(), "ON_DONE=stay")}
	for range 2 {
		roles = append(roles, j.addMapper("1s", proc.HTTP(), "WORKERS=2")) // so that the job is not done before
	}
	j.fetcher.AwaitStatus("some chunks saved", func(s report.Status) bool { return s.Chunks.Saved >= 4 })

	before := map[*proc.Process]map[string]float64{}
	for _, p := range roles {
		before[p] = gauges(t, p)
	}
	j.nats[0].Stop()
	said := map[*proc.Process]int{} // log lines before the freeze
	for _, p := range roles {
		said[p] = len(entries(p))
	}
	thaw := time.Now().Add(*freeze)
	proc.Eventually(t, "all roles to notice that NATS is frozen", func() bool {
		for _, p := range roles {
			if code, text := p.Get("/healthz"); code != http.StatusOK && code != 0 {
				t.Errorf("%s answered its health probe with %d while NATS was frozen: %s", p.Label, code, text)
			}
		}
		return time.Now().After(thaw) && allAway(roles)
	})
	for _, p := range roles {
		p.AwaitCode("/healthz", http.StatusOK)
	}
	if s := j.fetcher.AwaitStatus("a status", func(report.Status) bool { return true }); s.State != report.StateRunning {
		t.Fatalf("the job is %q while NATS is frozen, want running", s.State)
	}
	j.done()
	for _, p := range roles {
		times := map[string]int{}
		for _, w := range entries(p)[said[p]:] {
			if w.Level != "debug" {
				times[w.Message]++
			}
		}
		for message, n := range times {
			if n > 4 { // allows two lines for each of the two mappers
				t.Errorf("%s logged %q %d times while NATS was frozen, want at most 4", p.Label, message, n)
			}
		}
	}
	j.nats[0].Signal(syscall.SIGCONT)
	j.hurry()
	j.fetcher.AwaitStatus("end of the job", func(s report.Status) bool { return s.State == report.StateDone })
	for _, p := range roles {
		proc.Eventually(t, p.Label+" to release what its attempts used", func() bool {
			for name, now := range gauges(t, p) {
				if now > before[p][name]+10 {
					return false
				}
			}
			return true
		})
	}
	j.fetcher.Signal(syscall.SIGTERM)
	j.finish()
	for _, p := range roles {
		p.CheckOutages()
	}
}

// away is what a role logs when it has lost its connection. Missing answers are a
// different outage, which it logs earlier.
const away = "no connection to NATS, trying to connect"

// allAway reports whether every role has logged that it lost NATS, and is not ready.
func allAway(roles []*proc.Process) bool {
	for _, p := range roles {
		if code, _ := p.Get("/readyz"); code != http.StatusServiceUnavailable || !strings.Contains(p.Log(), away) {
			return false
		}
	}
	return true
}

// gauges reads a role's numbers of goroutines and open descriptors.
func gauges(t *testing.T, p *proc.Process) map[string]float64 {
	t.Helper()
	values := map[string]float64{}
	for _, name := range []string{"go_goroutines", "process_open_fds"} {
		proc.Eventually(t, p.Label+" to report "+name, func() (ok bool) {
			values[name], ok = p.Gauge(name)
			return ok
		})
	}
	return values
}
