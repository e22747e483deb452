package page

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/fetcher"
	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/internal/wire"
)

// fakeJob is a job that counts what it is asked.
type fakeJob struct {
	mu       sync.Mutex
	statuses int // guarded by mu
	saved    int // guarded by mu
	orders   []wire.Control
	away     error
	below    chunk.ID
}

func (j *fakeJob) Status() report.Status {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.statuses++
	return report.Status{Job: "demo", Versions: []report.VersionStatus{{Version: "v2", Share: 0.25}}, Seconds: float64(j.statuses)}
}

func (j *fakeJob) Map(_ context.Context, from, to chunk.ID, cells int) (report.Map, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return report.Map{From: from, Each: cells, Total: uint64(to), Cells: []report.Cell{{Saved: j.saved, Share: 0.25}}}, j.away
}

func (j *fakeJob) Chunk(_ context.Context, id chunk.ID) (report.Chunk, error) {
	if id > 9 {
		return report.Chunk{}, fetcher.ErrNoChunk
	}
	return report.Chunk{Chunk: id, State: "saved"}, j.away
}

func (j *fakeJob) History(context.Context) (report.History, error) {
	return report.History{Seconds: 1, Objects: []uint64{0, 5}}, j.away
}

func (j *fakeJob) Dead(_ context.Context, below chunk.ID, limit int) (report.DeadPage, error) {
	j.below = below
	if limit == 1 {
		return report.DeadPage{}, j.away
	}
	return report.DeadPage{Letters: []report.DeadLetter{{Ordinal: 7}}, Before: 3}, j.away
}

func (j *fakeJob) Shadow(context.Context) (report.ShadowReport, error) {
	return report.ShadowReport{Versions: []report.ShadowCount{{Version: "v2", Objects: 100, Different: 3}}}, j.away
}

func (j *fakeJob) Control(_ context.Context, c wire.Control) error {
	if c.Action == "" {
		return errors.New("unknown action")
	}
	j.orders = append(j.orders, c)
	return j.away
}

const token = "a-good-token"

func serve(j *fakeJob, token string) *http.ServeMux {
	mux := http.NewServeMux()
	Register(mux, j, token, zerolog.Nop())
	return mux
}

// TestControl_traces: who tries a wrong token, or none, leaves a line in the log, not
// one for each try.
func TestControl_traces(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	mux := http.NewServeMux()
	Register(mux, new(fakeJob), token, zerolog.New(&log))
	for range 100 {
		r := httptest.NewRequest(http.MethodPost, "/api/control", strings.NewReader(`{"action":"pause"}`))
		r.Header.Set("Authorization", "Bearer guess")
		mux.ServeHTTP(httptest.NewRecorder(), r)
	}
	if n := strings.Count(log.String(), "its token is not CONTROL_TOKEN"); n < 1 || n > 10 || strings.Contains(log.String(), "guess") || !strings.Contains(log.String(), "192.0.2.1") {
		t.Errorf("%d log lines of 100 tries: %s", n, log.String())
	}
}

// TestAPI: each question has its answer, and each wrong one its error.
func TestAPI(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		method, path, auth, body string
		away                     error
		status                   int
		want                     string
	}{
		{path: "/api/status", status: 200, want: `"job":"demo"`},
		{path: "/api/versions", status: 200, want: `[{"version":"v2"`},
		{path: "/api/map", status: 200, want: `{"from":0,"each":2000,"total":0,"cells":[{"share":0.25}]}`},
		{path: "/api/map?from=5&to=9&cells=3", status: 200, want: `{"from":5,"each":3,"total":9,"cells":[{"share":0.25}]}`},
		{path: "/api/map?cells=0", status: 400, want: `cells=0: want a number from 1 to 10000`},
		{path: "/api/map?from=-1", status: 400, want: `from=-1: want`},
		{path: "/api/map", away: fetcher.ErrNotRunning, status: 503, want: `waits for the saver`},
		{path: "/api/chunks/3", status: 200, want: `{"chunk":3,"state":"saved"}`},
		{path: "/api/chunks/12", status: 404, want: `no such chunk`},
		{path: "/api/chunks/x", status: 400, want: `want its number`},
		{path: "/api/history", status: 200, want: `"objects":[0,5]`},
		{path: "/api/dead", status: 200, want: `"before":3`},
		{path: "/api/dead?limit=1&before=4", status: 200, want: `{"letters":[],"before":0}`},
		{path: "/api/shadow", status: 200, want: `"different":3,"failed":0}],"differences":[]}`},
		{path: "/api/dead?limit=201", status: 400, want: `limit=201`},
		{path: "/api/control", status: 200, want: `{"enabled":true}`},
		{method: "POST", path: "/api/control", body: `{"action":"pause"}`, status: 401, want: `CONTROL_TOKEN`},
		{method: "POST", path: "/api/control", auth: "Bearer a-good-toke", body: `{"action":"pause"}`, status: 401, want: `CONTROL_TOKEN`},
		{method: "POST", path: "/api/control", auth: token, body: `{"action":"pause"}`, status: 401, want: `CONTROL_TOKEN`},
		{method: "POST", path: "/api/control", auth: "Bearer " + token, body: `{"action":"rate","rate":5}`, status: 200, want: `"job":"demo"`},
		{method: "POST", path: "/api/control", auth: "Bearer " + token, body: `pause`, status: 400, want: `want {\"action\"`},
		{method: "POST", path: "/api/control", auth: "Bearer " + token, body: `{}`, status: 400, want: `no \"action\"`},
		{method: "POST", path: "/api/control", auth: "Bearer " + token, body: `{"action":"rate","rat":5}`, status: 400, want: `unknown field \"rat\"`},
		{method: "POST", path: "/api/control", auth: "Bearer " + token, body: `{"action":"share","version":"v2"}`, status: 400, want: `share has no \"share\"`},
		{method: "POST", path: "/api/control", auth: "Bearer " + token, body: `{"action":""}`, status: 409, want: `unknown action`},
		{method: "POST", path: "/api/control", auth: "Bearer " + token, body: `{"action":"pause"}`, away: fetcher.ErrNotRunning, status: 503, want: `waits`},
		{method: "POST", path: "/api/control", auth: "Bearer " + token, body: strings.Repeat(" ", 5000) + `{"action":"pause"}`, status: 400, want: `too large`},
		{method: "POST", path: "/api/status", status: 405},
		{path: "/nothing", status: 404},
	} {
		j := &fakeJob{away: c.away}
		r := httptest.NewRequest(c.method, c.path, strings.NewReader(c.body))
		if c.auth != "" {
			r.Header.Set("Authorization", c.auth)
		}
		w := httptest.NewRecorder()
		serve(j, token).ServeHTTP(w, r)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.want) {
			t.Errorf("%s %s %s: %d %s, want %d with %s", c.method, c.path, c.auth, w.Code, w.Body, c.status, c.want)
		}
		if obeyed := len(j.orders) > 0; obeyed != (c.method == "POST" && c.status == 200 || c.away != nil && c.method == "POST") {
			t.Errorf("%s %s %s: orders %v", c.method, c.path, c.auth, j.orders)
		}
	}
}

// TestControl_off: without a token there is none that would do, not even an empty one.
func TestControl_off(t *testing.T) {
	t.Parallel()
	j := new(fakeJob)
	for _, auth := range []string{"", "Bearer ", "Bearer x"} {
		r := httptest.NewRequest(http.MethodPost, "/api/control", strings.NewReader(`{"action":"cancel"}`))
		r.Header.Set("Authorization", auth)
		w := httptest.NewRecorder()
		serve(j, "").ServeHTTP(w, r)
		if w.Code != http.StatusForbidden || len(j.orders) > 0 {
			t.Errorf("authorization %q: %d %s, orders %v", auth, w.Code, w.Body, j.orders)
		}
	}
}

// TestAssets: the page is served, with all that it names, and names nothing that is elsewhere.
func TestAssets(t *testing.T) {
	t.Parallel()
	mux := serve(new(fakeJob), "")
	get := func(path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		return w
	}
	index := get("/")
	if policy := index.Header().Get("Content-Security-Policy"); !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") {
		t.Errorf("the page has the policy %q", policy)
	}
	named := regexp.MustCompile(`(?:src|href)="(/[^"]*)"|from "\.(/[^"]*)"`)
	foreign := regexp.MustCompile(`(?:src=|url\(|import |fetch\(|from )["'(]?\s*(?:https?:)?//`)
	inline := regexp.MustCompile(`(?i)<script>|<style|\son[a-z]+="|\sstyle="`)
	found := 0
	err := fs.WalkDir(static, "static", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fs.ReadFile(static, path)
		if err != nil {
			return err
		}
		if what := foreign.Find(text); what != nil {
			t.Errorf("%s loads something from elsewhere: %s", path, what)
		}
		if what := inline.Find(text); what != nil {
			t.Errorf("%s has %s, which its policy forbids", path, what)
		}
		for _, m := range named.FindAllStringSubmatch(string(text), -1) {
			link := m[1]
			if m[2] != "" {
				link = "/page" + m[2]
			}
			if link == "/metrics" {
				continue // of the server
			}
			found++
			if w := get(link); w.Code != http.StatusOK {
				t.Errorf("%s names %s: %d", path, link, w.Code)
			}
		}
		return nil
	})
	if err != nil || found < 10 {
		t.Errorf("%d links, %v", found, err)
	}
}

// viewer is a browser that has opened the events.
type viewer struct {
	httptest.ResponseRecorder
	cancel context.CancelFunc
	done   chan struct{}
}

func (v *viewer) SetWriteDeadline(time.Time) error { return nil }

func watch(t *testing.T, mux *http.ServeMux) *viewer {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	v := &viewer{ResponseRecorder: *httptest.NewRecorder(), cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(v.done)
		mux.ServeHTTP(v, httptest.NewRequest(http.MethodGet, "/api/events", nil).WithContext(ctx))
	}()
	return v
}

// TestEvents: every viewer gets what changes, once a second, and no more; the
// job is asked as often for many viewers as for one, and not at all for none.
func TestEvents(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		j := new(fakeJob)
		mux := serve(j, "")
		first, second := watch(t, mux), watch(t, mux)
		<-time.After(4*time.Second + 500*time.Millisecond)
		synctest.Wait()
		for _, v := range []*viewer{first, second} {
			text := v.Body.String()
			if n := strings.Count(text, "event: status\ndata: {"); n != 5 {
				t.Errorf("got the status %d times in 4.5 s, want 5", n)
			}
			if n := strings.Count(text, "event: map\n"); n != 1 {
				t.Errorf("got an unchanged map %d times, want 1", n)
			}
			if n := strings.Count(text, "event: history\n"); n != 1 {
				t.Errorf("got an unchanged history %d times, want 1", n)
			}
		}
		if j.statuses != 5 {
			t.Errorf("two viewers asked the job %d times in 4.5 s, want 5", j.statuses)
		}
		j.mu.Lock()
		j.saved = 1
		j.mu.Unlock()
		second.cancel()
		<-second.done
		<-time.After(time.Second)
		synctest.Wait()
		if n := strings.Count(first.Body.String(), "event: map\n"); n != 2 {
			t.Errorf("got a map that changed once %d times, want 2", n)
		}
		first.cancel()
		<-first.done
		<-time.After(time.Minute)
		if j.statuses != 6 {
			t.Errorf("the job was asked %d times, want 6: no viewer is left", j.statuses)
		}
	})
}

// TestEvents_starting: a fetcher that has nothing but its status shows that.
func TestEvents_starting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v := watch(t, serve(&fakeJob{away: fetcher.ErrNotRunning}, ""))
		synctest.Wait()
		if text := v.Body.String(); !strings.Contains(text, "event: status\n") || strings.Contains(text, "event: map\n") {
			t.Errorf("a viewer got %s", text)
		}
		v.cancel()
		<-v.done
	})
}

// emptyJob is a job of which nothing is known yet.
type emptyJob struct{ *fakeJob }

func (emptyJob) Status() report.Status { return report.Status{} }

func (emptyJob) History(context.Context) (report.History, error) { return report.History{}, nil }

func (emptyJob) Dead(context.Context, chunk.ID, int) (report.DeadPage, error) {
	return report.DeadPage{}, nil
}

func (emptyJob) Shadow(context.Context) (report.ShadowReport, error) {
	return report.ShadowReport{}, nil
}

func (emptyJob) Map(context.Context, chunk.ID, chunk.ID, int) (report.Map, error) {
	return report.Map{}, nil
}

// TestNothingYet: a list without items is an empty one in every answer, and a
// unknown time is left out.
func TestNothingYet(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	Register(mux, emptyJob{new(fakeJob)}, token, zerolog.Nop())
	for _, path := range []string{"/api/status", "/api/versions", "/api/map", "/api/chunks/3", "/api/history", "/api/dead", "/api/shadow", "/api/control"} {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		if body := w.Body.String(); w.Code != http.StatusOK || strings.Contains(body, "null") || strings.Contains(body, "0001-01-01") {
			t.Errorf("%s: %d %s; want no null, and no year 1", path, w.Code, body)
		}
	}
}
