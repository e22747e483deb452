package main

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// TestRunService: a service maps the job's objects. Its token appears nowhere, not in
// output, report, log, dead letters or work folder, although the service repeats it.
func TestRunService(t *testing.T) {
	const canary = "canary-0123456789"
	t.Setenv("TRANSFORM_TOKEN", canary+"-t")
	t.Setenv("TRANSFORM_HEADERS", "X-Key: "+canary+"-h")
	var asked atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+canary+"-t" || r.Header.Get("X-Key") != canary+"-h" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		var numbers []int
		if err := json.NewDecoder(r.Body).Decode(&numbers); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if asked.Add(1) == 1 {
			w.Header().Set("Retry-After", "0")
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		for i, n := range numbers {
			if n == 5 {
				http.Error(w, fmt.Sprint("no fives: ", r.Header), http.StatusUnprocessableEntity)
				return
			}
			numbers[i] *= 10
		}
		_ = json.NewEncoder(w).Encode(numbers)
	}))
	defer server.Close()
	dir := t.TempDir()
	in, out := write(t, filepath.Join(dir, "in"), "1\n2\n3\n4\n5\n6\n7\n"), filepath.Join(dir, "out.jsonl")
	setting := server.URL + "/?own=1#batch=3&concurrency=2&timeout=5m"
	r := must(t, 4, "run", "-i", in, "-o", out, "-t", setting, "--log-level", "debug", "--json", "-j", "1")
	wantFile(t, out, "10\n20\n30\n40\n60\n70\n")
	if dead := must(t, 0, "dead", "list", "-o", out); !strings.Contains(dead.stdout, "the service answers 422 Unprocessable Entity: no fives") {
		t.Errorf("dead letters %s", dead.stdout)
	}
	if !strings.Contains(r.stderr, "object will be tried again") {
		t.Errorf("no retry in the log:\n%s", r.stderr)
	}
	again := chunkline(t, "dead", "retry", "-o", out, "-t", setting)
	again.want(t, 4)
	if all := fmt.Sprint(r.stdout, r.stderr, r.err, again.stdout, again.stderr, again.err); strings.Contains(all, "canary") {
		t.Errorf("the output has a secret:\n%s", all)
	}
	wantNoCanary(t, dir)
	if r := must(t, 2, "run", "-i", in, "-o", out, "-t", "http://user:"+canary+"@h/"); strings.Contains(fmt.Sprint(r), "canary") {
		t.Errorf("the error has a password: %v", r)
	}
}

// wantNoCanary checks that no file below dir holds a test's secret.
func wantNoCanary(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if strings.Contains(string(content), "canary") {
			t.Errorf("a secret is in %s", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
