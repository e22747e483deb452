package chaos

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chunkline/chunkline/test/proc"
)

// TestFreeze: NATS is frozen in the middle of a job, so that connections stay
// open and nothing moves. Meanwhile the roles' probes answer; each role says
// once that NATS is away; and when it goes on, so does the job.
func TestFreeze(t *testing.T) {
	t.Parallel()
	c := newCrew(t, 8_000)
	c.startNATS()
	web := map[*proc.Process]string{}
	address := func() string { return proc.FreeAddress(t) }
	a := address()
	c.startSaver("HTTP_ADDR=" + a)
	web[c.saver] = a
	a = address()
	c.startFetcher("HTTP_ADDR=" + a)
	web[c.fetcher] = a
	for range 2 {
		a = address()
		web[c.addMapper("100ms", "WORKERS=2", "HTTP_ADDR="+a)] = a
	}
	awaitStatus(t, web[c.fetcher], "some chunks saved", func(s status) bool { return s.Chunks.Saved >= 20 })

	c.nats[0].Signal(syscall.SIGSTOP)
	thaw := time.Now().Add(*freeze)
	for time.Now().Before(thaw) || !allNotReady(t, web) {
		for p, addr := range web {
			if code := probe(t, addr, "/healthz"); code != http.StatusOK {
				t.Errorf("%s answered its health probe with %d while NATS was frozen", p.Label, code)
			}
		}
		<-time.After(50 * time.Millisecond) // between probes
	}
	if c.done() {
		t.Fatal("the job was done before NATS was frozen")
	}
	c.nats[0].Signal(syscall.SIGCONT)
	c.finish()
	for p := range web {
		said := map[string]int{}
		for _, w := range words(p) {
			if w.Level != "debug" {
				said[w.Message]++
			}
		}
		if n := said["NATS is away, trying to connect"]; n != 1 {
			t.Errorf("%s said %d times that NATS is away, want 1", p.Label, n)
		}
		for message, n := range said {
			if n > 4 { // what concerns each of the two mappers, before and after
				t.Errorf("%s said %d times %q", p.Label, n, message)
			}
		}
	}
}

// allNotReady says whether every role knows that it cannot work.
func allNotReady(t *testing.T, web map[*proc.Process]string) bool {
	t.Helper()
	for _, addr := range web {
		if probe(t, addr, "/readyz") != http.StatusServiceUnavailable {
			return false
		}
	}
	return true
}

// probe asks a role over HTTP, as a supervisor does, and returns the status
// code; 0 if there was no answer.
func probe(t *testing.T, addr, path string) int {
	t.Helper()
	code, _ := get(t, addr, path, nil)
	return code
}

// get reads JSON into v, unless v is nil.
func get(t *testing.T, addr, path string, v any) (int, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	defer func() { _ = response.Body.Close() }()
	if v != nil {
		err = json.NewDecoder(response.Body).Decode(v)
	}
	return response.StatusCode, err
}

// status is what a fetcher says of its job.
type status struct {
	State   string
	Objects struct{ Saved int }
	Chunks  struct {
		InFlight   int `json:"in_flight"`
		Saved      int
		Duplicates int
	}
}

// awaitStatus waits until the fetcher's status is as wanted.
func awaitStatus(t *testing.T, addr, what string, wanted func(status) bool) status {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), proc.Patience)
	defer cancel()
	var s status
	proc.Eventually(ctx, t, what, func() bool {
		s = status{}
		_, err := get(t, addr, "/api/status", &s)
		return err == nil && wanted(s)
	})
	return s
}

// awaitSaved waits until a mapper was told that a chunk is saved, and how.
func awaitSaved(t *testing.T, mapper *proc.Process, chunk int, outcome string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), proc.Patience)
	defer cancel()
	proc.Eventually(ctx, t, mapper.Label+"'s chunk "+outcome, func() bool {
		for _, w := range words(mapper) {
			if w.Message == "chunk saved" && w.Chunk == chunk && strings.HasPrefix(w.Outcome, outcome) {
				return true
			}
		}
		return false
	})
}
