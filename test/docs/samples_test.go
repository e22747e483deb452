package docs

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

// TestSamples runs the commands of the console blocks of each page and compares what
// they print with the page. The blocks of a page share one folder, as they do for its
// reader. A command shows everything that it prints, or only its standard output.
func TestSamples(t *testing.T) {
	t.Parallel()
	block := regexp.MustCompile("(?ms)^```console\n(.*?)^```$")
	n := 0
	for name := range pages(t) {
		blocks := block.FindAllStringSubmatch(file(t, name), -1)
		if n += len(blocks); len(blocks) == 0 {
			continue
		}
		t.Run(name, func(t *testing.T) {
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
		return elapsed.ReplaceAllString(strings.ReplaceAll(text, dir, "/home/me"), "  time")
	}
	printed := []string{stdout.String(), stdout.String() + stderr.String(), stderr.String() + stdout.String()}
	if !slices.ContainsFunc(printed, func(p string) bool { return clean(p) == clean(s.output) }) {
		t.Errorf("$ %s\nprints (%v)\n%s\nand the page shows\n%s", s.command, err, printed[1], s.output)
	}
}

// TestSampleLines: pages also show output of jobs in clusters and containers. Each of
// its lines is one that a program can print.
func TestSampleLines(t *testing.T) {
	t.Parallel()
	source := productSource(t)
	formats := formatsOf(source)
	ours := regexp.MustCompile(`^\s*(job \w+: |chunkline: |mappers elsewhere |requeued |\d+ mapped, |\d+ objects in \d+ chunks: |\S+ has all )`)
	n := 0
	for name, p := range pages(t) {
		for _, line := range p.code {
			if name == "CHANGELOG.md" || !ours.MatchString(line) {
				continue
			}
			n++
			_, text, _ := strings.Cut(line, ": ")
			if !strings.Contains(source, text) && !slices.ContainsFunc(formats, func(f *regexp.Regexp) bool { return f.MatchString(line) }) {
				t.Errorf("%s: no program prints %q", name, line)
			}
		}
	}
	if n < 20 {
		t.Errorf("found only %d lines", n)
	}
}

// formatsOf returns each line of the format strings of Go source as a regular
// expression. It leaves out lines with little text, which would match anything.
func formatsOf(source string) (formats []*regexp.Regexp) {
	literal := regexp.MustCompile(`"([^"\n]*%[^"\n]*)"`)
	verb := regexp.MustCompile(`%(?:%|[+#.\d]*([a-z]))`)
	letters := regexp.MustCompile(`[a-z]`)
	for _, f := range literal.FindAllStringSubmatch(source, -1) {
		for line := range strings.SplitSeq(f[1], `\n`) {
			if len(letters.FindAllString(verb.ReplaceAllString(line, ""), -1)) < 7 {
				continue
			}
			text := verb.ReplaceAllStringFunc(line, func(v string) string {
				return map[byte]string{'%': "\x01", 'd': "\x02", 'f': "\x03", 'g': "\x03"}[v[len(v)-1]] + "\x00"
			})
			text = strings.NewReplacer("\x01\x00", "%", "\x02\x00", `\d+`, "\x03\x00", `[\d.]+`, "\x00", ".+").Replace(regexp.QuoteMeta(text))
			formats = append(formats, regexp.MustCompile(text))
		}
	}
	return formats
}
