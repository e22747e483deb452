package docs

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

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
