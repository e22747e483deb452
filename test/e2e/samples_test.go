package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/chunkline/chunkline/test/proc"
)

// TestSamples runs the commands in the console blocks of docs and compares what they
// print with the page. The blocks of a page share one folder, as they do for a reader
// of the page. A page shows everything that a command prints, or only its standard
// output.
func TestSamples(t *testing.T) {
	t.Parallel()
	block := regexp.MustCompile("(?ms)^```console\n(.*?)^```$")
	n := 0
	names, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		page, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		blocks := block.FindAllStringSubmatch(string(page), -1)
		if n += len(blocks); len(blocks) == 0 {
			continue
		}
		t.Run(filepath.Base(name), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for _, b := range blocks {
				for _, s := range samplesOf(b[1]) {
					s.check(t, dir)
				}
			}
		})
	}
	if n < 5 {
		t.Errorf("found only %d console blocks", n)
	}
}

// A sample is a command of a page and the output that the page shows for it.
type sample struct{ command, output string }

func samplesOf(block string) (samples []sample) {
	for line := range strings.Lines(block) {
		if command, ok := strings.CutPrefix(line, "$ "); ok {
			samples = append(samples, sample{command: strings.TrimSpace(command)})
		} else if len(samples) > 0 {
			samples[len(samples)-1].output += line
		}
	}
	return samples
}

// elapsed matches the part of a report that differs from run to run.
var elapsed = regexp.MustCompile(`  time          [\d.]+m?s, \d+ objects a second`)

// progress matches the lines that a run prints while it works, if that takes long enough.
var progress = regexp.MustCompile(`(?m)^ *\d+ % of .*\n`)

func (s sample) check(t *testing.T, dir string) {
	t.Helper()
	if program, _, _ := strings.Cut(s.command, " "); program == "jq" {
		if _, err := exec.LookPath(program); err != nil {
			return // the page compares chunkline with jq
		}
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-c", s.command)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "PATH="+filepath.Dir(proc.Path("chunkline"))+":"+os.Getenv("PATH"))
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	clean := func(text string) string {
		text = progress.ReplaceAllString(text, "")
		return elapsed.ReplaceAllString(strings.ReplaceAll(text, dir, "/home/me"), "  time")
	}
	printed := []string{stdout.String(), stdout.String() + stderr.String(), stderr.String() + stdout.String()}
	if !slices.ContainsFunc(printed, func(p string) bool { return clean(p) == clean(s.output) }) {
		t.Errorf("$ %s\nprints (%v)\n%s\nand the page shows\n%s", s.command, err, printed[1], s.output)
	}
}
