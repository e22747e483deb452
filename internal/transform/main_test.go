package transform

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/chunkline/chunkline/internal/chunk"
)

// TestMain is also the program of the exec tests: they start this binary again.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == fakeName {
		fakeProgram(os.Args[2:])
		return
	}
	if len(os.Args) > 1 && os.Args[1] == reaperName {
		reaperProgram()
		return
	}
	if err := flag.Set("test.parallel", "8"); err != nil { // most tests wait for programs
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

// body makes a chunk body of objects.
func body(objects ...string) []byte {
	if len(objects) == 0 {
		return nil
	}
	return []byte(strings.Join(objects, "\n") + "\n")
}

func mustNew(tb testing.TB, spec string) Transform {
	tb.Helper()
	return mustNewIn(tb, spec, false)
}

// mustNewIn runs a jq program in the test's process if here says so. That is
// much cheaper than a process for each of many programs.
func mustNewIn(tb testing.TB, spec string, here bool) Transform {
	tb.Helper()
	s, err := Parse(spec)
	if err != nil {
		tb.Fatal(err)
	}
	s.InProcess, s.EndTimeout = here, time.Hour
	tr, err := s.New()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := tr.Close(); err != nil {
			tb.Errorf("Close: %v", err)
		}
	})
	return tr
}

func mustRun(tb testing.TB, tr Transform, b []byte, skip []chunk.Flaw, o Options) Output {
	tb.Helper()
	out, err := Run(tb.Context(), tr, b, skip, o)
	if err != nil {
		tb.Fatalf("Run: %v", err)
	}
	if err := check(out, b); err != nil {
		tb.Fatal(err)
	}
	return out
}

// check tests the invariants of Output.
func check(out Output, b []byte) error {
	if want := bytes.Count(b, []byte("\n")); len(out.Counts) != want {
		return fmt.Errorf("%d counts for %d objects", len(out.Counts), want)
	}
	sum := 0
	for _, n := range out.Counts {
		sum += n
	}
	if lines := bytes.Count(out.Lines, []byte("\n")); lines != sum {
		return fmt.Errorf("%d lines, but the counts sum up to %d", lines, sum)
	}
	if len(out.Lines) > 0 && out.Lines[len(out.Lines)-1] != '\n' {
		return fmt.Errorf("the last line has no end: %q", out.Lines)
	}
	last := -1
	for _, f := range out.Failed {
		if f.Index <= last || f.Index >= len(out.Counts) {
			return fmt.Errorf("failures do not ascend: %v", out.Failed)
		}
		if out.Counts[f.Index] != 0 || f.Err == "" {
			return fmt.Errorf("failure %+v has %d outputs", f, out.Counts[f.Index])
		}
		last = f.Index
	}
	return nil
}

func wantLines(tb testing.TB, out Output, want ...string) {
	tb.Helper()
	if got := string(out.Lines); got != string(body(want...)) {
		tb.Errorf("lines:\n%.2000swant:\n%.2000s", got, body(want...))
	}
}

func wantError(tb testing.TB, err, is error, text string) {
	tb.Helper()
	if !errors.Is(err, is) || !strings.Contains(err.Error(), text) {
		tb.Errorf("error %v, want %v with %q", err, is, text)
	}
}

// wantFailed checks the failures; want is index, part of the text, and so on.
func wantFailed(tb testing.TB, out Output, want ...any) {
	tb.Helper()
	if len(out.Failed) != len(want)/2 {
		tb.Fatalf("failed: %v, want %v", out.Failed, want)
	}
	for i, f := range out.Failed {
		if index, text := want[2*i].(int), want[2*i+1].(string); f.Index != index || !strings.Contains(f.Err, text) {
			tb.Errorf("failed: %+v, want %d with %q", f, index, text)
		}
	}
}
