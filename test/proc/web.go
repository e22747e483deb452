package proc

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/test/loopback"
)

// HTTP returns the setting that makes a role serve HTTP on loopback.
func HTTP() string { return "HTTP_ADDR=" + loopback.Address() }

// Address returns the address on which the process serves HTTP.
func (p *Process) Address() (address string) {
	p.t.Helper()
	for _, setting := range p.Env { // the last one counts
		if value, is := strings.CutPrefix(setting, "HTTP_ADDR="); is {
			address = value
		}
	}
	if address == "" {
		p.t.Fatalf("%s serves no HTTP", p.Label)
	}
	return address
}

// Fetch requests a path from a server; the code is 0 if there was no answer.
func Fetch(t *testing.T, address, path string) (code int, body string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+path, nil)
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

// FetchJSON decodes the JSON at a path into v, and reports whether it could.
func FetchJSON(t *testing.T, address, path string, v any) bool {
	t.Helper()
	code, text := Fetch(t, address, path)
	return code == http.StatusOK && json.Unmarshal([]byte(text), v) == nil
}

// Get requests a path from the process; the code is 0 if there was no answer.
func (p *Process) Get(path string) (code int, body string) {
	p.t.Helper()
	return Fetch(p.t, p.Address(), path)
}

// GetJSON decodes the JSON at a path into v, and reports whether it could.
func (p *Process) GetJSON(path string, v any) bool {
	p.t.Helper()
	return FetchJSON(p.t, p.Address(), path, v)
}

// Gauge returns the value of a metric without labels; false if the process does not answer, or has
// no such metric.
func (p *Process) Gauge(name string) (value float64, ok bool) {
	p.t.Helper()
	_, text := p.Get("/metrics")
	for line := range strings.Lines(text) {
		if found, is := strings.CutPrefix(line, name+" "); is {
			value, err := strconv.ParseFloat(strings.TrimSpace(found), 64)
			return value, err == nil
		}
	}
	return 0, false
}

// AwaitCode waits until a path is answered with a status code.
func (p *Process) AwaitCode(path string, want int) {
	p.t.Helper()
	Eventually(p.t, p.Label+" to answer "+path+" with "+http.StatusText(want), func() bool {
		code, _ := p.Get(path)
		return code == want
	})
}

// AwaitStatus waits until a fetcher reports a status for which wanted is true, and returns
// it.
func (p *Process) AwaitStatus(what string, wanted func(report.Status) bool) report.Status {
	p.t.Helper()
	var s report.Status
	Eventually(p.t, what, func() bool {
		s = report.Status{}
		return p.GetJSON("/api/status", &s) && wanted(s)
	})
	return s
}
