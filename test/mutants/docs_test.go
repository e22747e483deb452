package main

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// TestGuarantees: docs/guarantees.md lists the mutants that there are, each with the tests
// that must turn red, and every test that it says to run exists.
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
		t.Errorf("there is no such mutant: %s", row)
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

// TestEdits: what each mutant changes is in the product, once. A mutant that no longer
// fits is found here, not by the lane that takes minutes.
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
