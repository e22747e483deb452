package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/chunkline/chunkline/internal/report"
)

// shownLine is a kind of line that a command prints and the docs show.
type shownLine struct {
	begin string // pattern of the first words, which finds these lines
	whole *regexp.Regexp
	least int // number of them in the docs
}

const (
	counts = `\d+ objects, \d+/s(, (\d+h)?(\d+m)?\d+s left)?(, \d+ dead)?(, waiting for the saver|, waiting for mappers)?`
	job    = `job [\w-]+: `
)

var shownLines = []shownLine{
	{`job [\w-]+: (running|done|starting|finishing|failed|cancelled)`, regexp.MustCompile(`^` + job + `\w+(, paused)?, \d+\.\d %, ` + counts + `$`), 8},
	{`chunks +ready`, regexp.MustCompile(`^chunks +ready \d+, in flight \d+, saved \d+; redelivered \d+, backup attempts \d+ \(\d+ were first\)$`), 8},
	{`MAPPER `, regexp.MustCompile(`^MAPPER +VERSION +STATE +HOLDS +OBJECTS/S +SAVED +LAST HEARTBEAT$`), 5},
	{`VERSION `, regexp.MustCompile(`^VERSION +MAPPERS +OBJECTS/S +SAVED +FAILED +OBJECT P50, P95 +VANISHED +LIMIT$`), 1},
	{`\d+ % of `, regexp.MustCompile(`^\d+ % of (about )?\d+ objects: ` + counts + `, \d+ mappers?$`), 1},
}

// TestShownLines: lines of status and progress in the docs have the form of printed ones.
func TestShownLines(t *testing.T) {
	t.Parallel()
	left := 72.0
	s := report.Status{
		Job: "demo", State: report.StateRunning, Cut: true, Progress: 0.1, Rate: 1234, ETASeconds: &left, Source: "users.jsonl",
		Objects:  report.ObjectCounts{Cut: 100_000, Saved: 10_000, Outputs: 9_990, Dead: 10},
		Versions: []report.VersionStatus{{Version: "v1", Share: 1}, {Version: "v2", Share: 0.5}},
		Mappers:  []report.MapperStatus{{State: report.MapperIdle}, {State: report.MapperWorking}},
	}
	printed := lines(statusText(s) + progressLine(s))
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	var shown []string
	for _, page := range append(pages, "../../README.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, span := range regexp.MustCompile("`( *\\d+ % of [^`]*)`").FindAllStringSubmatch(string(text), -1) {
			shown = append(shown, strings.TrimSpace(span[1]))
		}
		shown = append(shown, lines(string(text))...)
	}
	for _, kind := range shownLines {
		if n := kind.check(t, "printed", printed); n != 1 {
			t.Errorf("%d lines that are printed begin with %s, want 1", n, kind.begin)
		}
		if n := kind.check(t, "shown in the docs", shown); n < kind.least {
			t.Errorf("%d lines in the docs begin with %s, want %d or more", n, kind.begin, kind.least)
		}
	}
}

// check compares the lines of this kind, and returns their number.
func (k shownLine) check(t *testing.T, where string, lines []string) (n int) {
	t.Helper()
	begin := regexp.MustCompile(`^` + k.begin)
	for _, line := range lines {
		if !begin.MatchString(line) {
			continue
		}
		n++
		if !k.whole.MatchString(line) {
			t.Errorf("%s: %q does not match %s", where, line, k.whole)
		}
	}
	return n
}

func lines(text string) (trimmed []string) {
	for line := range strings.Lines(text) {
		trimmed = append(trimmed, strings.TrimSpace(line))
	}
	return trimmed
}
