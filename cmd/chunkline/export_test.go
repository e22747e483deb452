package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/chunkline/chunkline/internal/saver"
	"github.com/chunkline/chunkline/test/loopback"
)

// depot serves the result of a job as its saver does.
type depot struct {
	url, input, output string // of the server; of the job
	handler            http.Handler

	mu     sync.Mutex
	cut    int      // guarded by mu; the next download breaks off after this many bytes; 0: it does not
	spoil  bool     // guarded by mu; the next download has a wrong byte
	ranges []string // guarded by mu; requested ranges, without the probes of the first byte
}

// newDepot runs a job over n objects and two that cannot be mapped, and serves its result, which has the given name.
func newDepot(t *testing.T, name string, n int) (d *depot, values, dead string) {
	t.Helper()
	dir := t.TempDir()
	objects, values := numbers(n)
	d = &depot{output: filepath.Join(dir, name), input: filepath.Join(dir, "in.jsonl")}
	write(t, d.input, objects+"{\"n\":\"a\"}\n{\"n\":\"b\"}\n")
	must(t, 4, "run", "-i", d.input, "-o", d.output, "-m", ".n | tonumber")
	folder, err := openResult(t.Context(), &screen{w: t.Output()}, d.output, "", true)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	(&saver.Downloads{From: folder}).Register(mux)
	d.handler = mux
	server := httptest.NewServer(d)
	t.Cleanup(func() {
		server.Close()
		if err := folder.Close(); err != nil {
			t.Error(err)
		}
	})
	d.url = server.URL
	letters, err := os.ReadFile(deadFile(d.output))
	if err != nil {
		t.Fatal(err)
	}
	return d, values, string(letters)
}

func (d *depot) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if asked := r.Header.Get("Range"); asked != "bytes=0-0" {
		d.mu.Lock()
		d.ranges = append(d.ranges, asked)
		w = &harmed{ResponseWriter: w, left: d.cut, cuts: d.cut > 0, spoils: d.spoil}
		d.cut, d.spoil = 0, false
		d.mu.Unlock()
	}
	d.handler.ServeHTTP(w, r)
}

func (d *depot) harm(cut int, spoil bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cut, d.spoil = cut, spoil
}

func (d *depot) export(t *testing.T, code int, output string, more ...string) result {
	t.Helper()
	return must(t, code, append([]string{"export", "--from", d.url, "-o", output}, more...)...)
}

// harmed is a response that breaks off, or has a wrong byte.
type harmed struct {
	http.ResponseWriter
	left         int
	cuts, spoils bool
}

func (h *harmed) Unwrap() http.ResponseWriter { return h.ResponseWriter }

func (h *harmed) Write(b []byte) (int, error) {
	if h.cuts && len(b) > h.left {
		_, _ = h.ResponseWriter.Write(b[:h.left])
		_ = http.NewResponseController(h.ResponseWriter).Flush()
		panic(http.ErrAbortHandler)
	}
	h.left -= len(b)
	if h.spoils {
		b = slices.Clone(b)
		b[0] ^= 1
	}
	return h.ResponseWriter.Write(b) //nolint:wrapcheck // the test does not read the error
}

// TestExport: an interrupted download continues where it broke off. The result gets its
// name only when it is complete, and does not replace another file.
func TestExport(t *testing.T) {
	t.Parallel()
	d, values, dead := newDepot(t, "job.jsonl", 20_000)
	dir := t.TempDir()
	output := filepath.Join(dir, "result.jsonl")
	files := func(want int) {
		t.Helper()
		if got, err := filepath.Glob(output + "*"); err != nil || len(got) != want {
			t.Errorf("there are %v (%v), want %d files", got, err, want)
		}
	}

	d.harm(50_000, false)
	r := d.export(t, 3, output)
	wantWords(t, r.err.Error(), "after 50000 of ", "run the same command again")
	files(1)
	if _, err := os.Stat(output); err == nil {
		t.Fatal("an incomplete download has the name of the result")
	}
	wantWords(t, d.export(t, 0, output).stdout, output, "has all ")
	wantFile(t, output, values)
	files(1)
	if want := []string{"", "bytes=50000-"}; !slices.Equal(d.ranges, want) {
		t.Errorf("the ranges %q were asked for, want %q", d.ranges, want)
	}
	d.export(t, 0, output) // already complete
	if len(d.ranges) != 2 {
		t.Errorf("the file existed, but was downloaded again: %q", d.ranges)
	}

	write(t, output, "mine")
	wantWords(t, d.export(t, 2, output).err.Error(), output, "--force")
	wantFile(t, output, "mine")
	d.export(t, 0, output, "--force")
	wantFile(t, output, values)

	letters := filepath.Join(dir, "dead.jsonl")
	d.export(t, 0, letters, "--dead")
	wantFile(t, letters, dead)
}

// TestExport_damaged: a download with a wrong checksum does not become the result.
func TestExport_damaged(t *testing.T) {
	t.Parallel()
	d, values, _ := newDepot(t, "job.jsonl", 10)
	output := filepath.Join(t.TempDir(), "result.jsonl")
	d.harm(0, true)
	wantWords(t, d.export(t, 1, output).err.Error(), "checksum", "remove "+output+".part-")
	if _, err := os.Stat(output); err == nil {
		t.Fatal("damaged bytes have the name of the result")
	}
	parts, err := filepath.Glob(output + ".part-*")
	if err != nil || len(parts) != 1 {
		t.Fatalf("parts %v: %v", parts, err)
	}
	if err := os.Remove(parts[0]); err != nil {
		t.Fatal(err)
	}
	d.export(t, 0, output)
	wantFile(t, output, values)
}

// TestExport_refused: if the saver refuses, or the address is not a saver's, the command fails with a reason.
func TestExport_refused(t *testing.T) {
	t.Parallel()
	output := filepath.Join(t.TempDir(), "result.jsonl")
	says := func(status int, body string) string {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		}))
		t.Cleanup(server.Close)
		return server.URL
	}
	gone := "http://" + loopback.Address()
	for from, want := range map[string]struct {
		code int
		text string
	}{
		says(409, `{"error": "the job is not done: 7 objects are saved so far"}`): {1, "the saver refused: the job is not done: 7 objects"},
		says(503, `busy`): {1, "the saver refused: busy"},
		says(404, `404`):  {1, "is it the HTTP port of a saver?"},
		says(200, `ok`):   {1, "is not a saver's result"},
		gone:              {3, "request result"},
		"localhost:3541":  {2, `--from="localhost:3541"`},
		"":                {2, "--from is not set"},
	} {
		r := must(t, want.code, "export", "--from", from, "-o", output)
		wantWords(t, r.err.Error(), want.text)
	}
	wantWords(t, must(t, 2, "export", "--from", "http://localhost:3541").err.Error(), "--output is not set")
	if left, err := filepath.Glob(output + "*"); err != nil || len(left) > 0 {
		t.Errorf("%s is there (%v)", strings.Join(left, " "), err)
	}
}
