package main

import (
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestGuarantees: docs/guarantees.md lists exactly the mutants of the table, each with the tests
// that must turn red, and every test in its commands exists.
func TestGuarantees(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/guarantees.md")
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for _, row := range regexp.MustCompile(`(?m)^\| (M\d+) \| (.*) \| (.*) \| \d+ \|$`).FindAllStringSubmatch(string(text), -1) {
		listed[row[1]+" "+row[2]+" "+row[3]] = true
	}
	for _, m := range all() {
		var words []string
		for _, l := range m.caughtBy {
			words = append(words, "`"+strings.ReplaceAll(l.String(), "|", ", ")+"`")
		}
		row := m.id + " " + m.what + " " + strings.Join(words, ", ")
		if !listed[row] {
			t.Errorf("not in the table of docs/guarantees.md: %s", row)
		}
		delete(listed, row)
	}
	for row := range listed {
		t.Errorf("no mutant for the row %s", row)
	}

	commands := regexp.MustCompile("go test[^`]* (\\./[a-z/]+) -run '?(Test[A-Za-z0-9_]+)").FindAllStringSubmatch(string(text), -1)
	if len(commands) < 20 {
		t.Errorf("only %d commands found", len(commands))
	}
	for _, c := range commands {
		out, err := exec.CommandContext(t.Context(), "grep", "-rqE", "^func "+c[2], "--include=*_test.go", "../../"+c[1]).CombinedOutput()
		if err != nil {
			t.Errorf("there is no test %s in %s: %v %s", c[2], c[1], err, out)
		}
	}
}

// TestEdits: the product contains the text that each mutant replaces exactly once. This finds a
// stale mutant without the lane, which takes minutes.
func TestEdits(t *testing.T) {
	t.Parallel()
	for _, m := range all() {
		for _, e := range m.edits {
			text, err := os.ReadFile("../../" + e.file)
			if err != nil {
				t.Fatal(err)
			}
			if n := strings.Count(string(text), e.old); n != 1 {
				t.Errorf("%s: %s has %d times %q, want it once", m.id, e.file, n, e.old)
			}
		}
	}
}

// TestDraw: a sample has different mutants in the order of the table. The same seed draws the same
// sample, and 100 seeds draw every mutant.
func TestDraw(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for seed := range uint64(100) {
		drawn := draw(all(), 10, seed)
		last := -1
		for i, m := range drawn {
			at := slices.IndexFunc(all(), func(other mutant) bool { return other.id == m.id })
			if again := draw(all(), 10, seed)[i]; at <= last || again.id != m.id {
				t.Fatalf("seed %d draws %s after number %d, and then %s", seed, m.id, last, again.id)
			}
			last, seen[m.id] = at, true
		}
		if len(drawn) != 10 {
			t.Fatalf("seed %d draws %d, want 10", seed, len(drawn))
		}
	}
	if len(seen) != len(all()) {
		t.Errorf("100 seeds draw %d of %d mutants", len(seen), len(all()))
	}
}
