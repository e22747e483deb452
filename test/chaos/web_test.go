package chaos

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chunkline/chunkline/test/proc"
)

// fetch asks a process over HTTP, as a supervisor does; the status code is 0 if
// there was no answer.
func fetch(t *testing.T, addr, path string) (code int, body string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, ""
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, ""
	}
	return response.StatusCode, string(text)
}

// fetchJSON reads JSON into v; false if there was none.
func fetchJSON(t *testing.T, addr, path string, v any) bool {
	t.Helper()
	_, text := fetch(t, addr, path)
	return json.Unmarshal([]byte(text), v) == nil
}

// gauges reads what a role has open and runs.
func gauges(t *testing.T, addr string) map[string]float64 {
	t.Helper()
	_, text := fetch(t, addr, "/metrics")
	values := map[string]float64{}
	for _, name := range []string{"go_goroutines", "process_open_fds"} {
		for line := range strings.Lines(text) {
			if value, found := strings.CutPrefix(strings.TrimSpace(line), name+" "); found {
				values[name], _ = strconv.ParseFloat(value, 64)
			}
		}
		if values[name] == 0 {
			t.Fatalf("%s tells no %s", addr, name)
		}
	}
	return values
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
		return fetchJSON(t, addr, "/api/status", &s) && wanted(s)
	})
	return s
}
