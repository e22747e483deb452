package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chunkline/chunkline/internal/app"
)

func TestMain(m *testing.M) {
	if err := flag.Set("test.parallel", "8"); err != nil { // most tests wait for programs, timers and the disk
		panic(err)
	}
	lingerTime, askTimeout, exportTimeout = time.Hour, 2*time.Minute, 2*time.Minute // the machine may stall
	m.Run()
}

// result is how a command ended.
type result struct {
	stdout, stderr string
	err            error
	code           int
}

// chunkline runs a command in this process, with nothing on stdin.
func chunkline(t *testing.T, args ...string) result {
	t.Helper()
	return chunklineWith(t.Context(), strings.NewReader(""), args...)
}

func chunklineWith(ctx context.Context, stdin io.Reader, args ...string) result {
	var stdout, stderr bytes.Buffer
	c := command() //nolint:contextcheck // cobra passes the context to the command
	c.SetArgs(joinPairs(c, args))
	c.SetIn(stdin)
	c.SetOut(&stdout)
	c.SetErr(&stderr)
	err := c.ExecuteContext(ctx)
	return result{stdout.String(), stderr.String(), err, app.Code(err)}
}

// must runs a command and expects an exit code.
func must(t *testing.T, code int, args ...string) result {
	t.Helper()
	r := chunkline(t, args...)
	r.want(t, code)
	return r
}

func (r result) want(t *testing.T, code int) {
	t.Helper()
	if r.code != code {
		t.Fatalf("exit code %d, want %d: %v\nstdout: %s\nstderr: %s", r.code, code, r.err, r.stdout, r.stderr)
	}
}

// report reads what --json printed.
func (r result) report(t *testing.T) jobReport {
	t.Helper()
	var got jobReport
	decoder := json.NewDecoder(strings.NewReader(r.stdout))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&got); err != nil {
		t.Fatalf("read report: %v: %s", err, r.stdout)
	}
	return got
}

func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

func wantFile(t *testing.T, path, want string) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s: %.200q, want %.200q", filepath.Base(path), got, want)
	}
}

func wantWords(t *testing.T, text string, words ...string) {
	t.Helper()
	for _, word := range words {
		if !strings.Contains(text, word) {
			t.Errorf("no %q in %q", word, text)
		}
	}
}

// numbers returns the objects {"n":0} … and the results of .n for them.
func numbers(n int) (objects, values string) {
	var in, out strings.Builder
	for i := range n {
		fmt.Fprintf(&in, "{\"n\":%d}\n", i)
		fmt.Fprintln(&out, i)
	}
	return in.String(), out.String()
}
