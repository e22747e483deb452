package chaos

import (
	"context"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chunkline/chunkline/test/loopback"
	"github.com/chunkline/chunkline/test/proc"
)

// TestFreeze: NATS is frozen in the middle of a job, so that connections stay
// open and nothing moves. Meanwhile the roles' probes answer; each role says
// once that NATS is away; when it goes on, so does the job; and nothing of the
// many attempts is left behind.
func TestFreeze(t *testing.T) {
	t.Parallel()
	c := newCrew(t, 8_000)
	c.startNATS()
	web := map[*proc.Process]string{}
	listen := func(start func(...string) *proc.Process, env ...string) {
		addr := loopback.Address()
		web[start(append(env, "HTTP_ADDR="+addr)...)] = addr
	}
	listen(c.startSaver)
	listen(c.startFetcher, "ON_DONE=stay")
	for range 2 {
		listen(func(env ...string) *proc.Process { return c.addMapper("100ms", env...) }, "WORKERS=2")
	}
	awaitStatus(t, web[c.fetcher], "some chunks saved", func(s status) bool { return s.Chunks.Saved >= 20 })

	before := map[*proc.Process]map[string]float64{}
	for p, addr := range web {
		before[p] = gauges(t, addr)
	}
	c.nats[0].Signal(syscall.SIGSTOP)
	thaw := time.Now().Add(*freeze)
	ctx, cancel := context.WithTimeout(t.Context(), *freeze+proc.Patience)
	defer cancel()
	proc.Eventually(ctx, t, "all roles to notice that NATS is frozen", func() bool {
		for p, addr := range web {
			if code, _ := fetch(t, addr, "/healthz"); code != http.StatusOK {
				t.Errorf("%s answered its health probe with %d while NATS was frozen", p.Label, code)
			}
		}
		return time.Now().After(thaw) && allAway(t, web)
	})
	var s status
	if !fetchJSON(t, web[c.fetcher], "/api/status", &s) || s.State != "running" {
		t.Fatalf("the job is %q while NATS is frozen, want running", s.State)
	}
	c.done()
	c.nats[0].Signal(syscall.SIGCONT)
	awaitStatus(t, web[c.fetcher], "end of the job", func(s status) bool { return s.State == "done" })
	for p, addr := range web {
		for name, now := range gauges(t, addr) {
			if was := before[p][name]; now > was+10 {
				t.Errorf("%s has %s %g after NATS was frozen, %g before", p.Label, name, now, was)
			}
		}
	}
	c.fetcher.Signal(syscall.SIGTERM)
	c.finish()
	for p := range web {
		said := map[string]int{}
		for _, w := range words(p) {
			if w.Level != "debug" {
				said[w.Message]++
			}
		}
		if n := said[away]; n != 1 {
			t.Errorf("%s said %d times that NATS is away, want 1", p.Label, n)
		}
		for message, n := range said {
			if n > 4 { // what concerns each of the two mappers, before and after
				t.Errorf("%s said %d times %q", p.Label, n, message)
			}
		}
	}
}

// away is what a role says when its connection is gone. That nobody answers it
// comes sooner, and is not the same.
const away = "NATS is away, trying to connect"

// allAway says whether every role knows that NATS is away, and that it cannot work.
func allAway(t *testing.T, web map[*proc.Process]string) bool {
	t.Helper()
	for p, addr := range web {
		if code, _ := fetch(t, addr, "/readyz"); code != http.StatusServiceUnavailable || !strings.Contains(p.Log(), away) {
			return false
		}
	}
	return true
}
