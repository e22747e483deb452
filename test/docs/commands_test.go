package docs

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// commands calls check for each command that begins with begin, in the code spans and
// code blocks of all pages. words are the words after begin.
func commands(t *testing.T, begin string, check func(name, command string, words []string)) {
	t.Helper()
	n := 0
	for name, p := range pages(t) {
		for _, command := range p.code {
			command, _, _ := strings.Cut(command, " #")
			if rest, ok := strings.CutPrefix(strings.TrimSpace(command), begin+" "); ok {
				check(name, command, strings.Fields(rest))
				n++
			}
		}
	}
	if n < 5 {
		t.Errorf("only %d commands begin with %s", n, begin)
	}
}

// declared returns the tests, fuzz targets and benchmarks of each package, by the
// package's path from the root.
func declared(t *testing.T) map[string][]string {
	t.Helper()
	function := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)\w+)\(`)
	found := map[string][]string{}
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		dir, err := filepath.Rel(root, filepath.Dir(path))
		for _, f := range function.FindAllSubmatch(source, -1) {
			found[dir] = append(found[dir], string(f[1]))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// TestTests: the tests that pages name exist.
func TestTests(t *testing.T) {
	t.Parallel()
	all := declared(t)
	var every []string
	for _, names := range all {
		every = append(every, names...)
	}
	for name, p := range pages(t) {
		for _, code := range p.code {
			if regexp.MustCompile(`^(Test|Fuzz|Benchmark)[A-Z]\w*$`).MatchString(code) && !slices.Contains(every, code) {
				t.Errorf("%s names %s, which no package has", name, code)
			}
			// `test/sim TestLost, TestTakeover`
			if dir, names, ok := strings.Cut(code, " Test"); ok && !strings.Contains(dir, " ") {
				for one := range strings.SplitSeq("Test"+names, ", ") {
					if !slices.ContainsFunc(all[dir], regexp.MustCompile(one).MatchString) {
						t.Errorf("%s names %s of %s, which is not there", name, one, dir)
					}
				}
			}
		}
	}
	commands(t, "go test", func(name, command string, words []string) {
		var dir string
		for _, w := range words {
			if rest, ok := strings.CutPrefix(w, "./"); ok {
				dir = rest
			}
		}
		if dir == "..." {
			return
		}
		if len(all[dir]) == 0 {
			t.Errorf("%s: %s: no tests there", name, command)
		}
		for i, w := range words[:len(words)-1] {
			if w != "-run" && w != "-bench" {
				continue
			}
			pattern, _, _ := strings.Cut(strings.Trim(words[i+1], "'"), "/")
			if pattern == "^$" { // none, for a benchmark
				continue
			}
			which := regexp.MustCompile(pattern)
			if !slices.ContainsFunc(all[dir], func(f string) bool {
				return strings.HasPrefix(f, "Benchmark") == (w == "-bench") && which.MatchString(f)
			}) {
				t.Errorf("%s: %s: no such test", name, command)
			}
		}
	})
}

// TestTargets: the make targets that pages name exist.
func TestTargets(t *testing.T) {
	t.Parallel()
	makefile, err := os.ReadFile(root + "/Makefile")
	if err != nil {
		t.Fatal(err)
	}
	commands(t, "make", func(name, command string, words []string) {
		for _, w := range words {
			if !strings.Contains(w, "=") && !strings.Contains(string(makefile), "\n"+w+":") {
				t.Errorf("%s: %s: there is no target %s", name, command, w)
			}
		}
	})
}

// TestFiles: the files that commands and kustomizations of a page name exist.
func TestFiles(t *testing.T) {
	t.Parallel()
	files := regexp.MustCompile(`(?:-k |--patch-file |docker build .*|\./|^)((?:deploy|docs|examples|internal|test|cmd)/[\w./-]*)|-f (\S+/\S+\.yaml)`)
	n := 0
	for name, p := range pages(t) {
		for _, code := range p.code {
			if strings.HasPrefix(code, "deploy/toolbox") { // the deployment
				continue
			}
			for _, f := range files.FindAllStringSubmatch(code, -1) {
				n++
				file := strings.TrimSuffix(f[1]+f[2], "/...")
				if _, err := os.Stat(filepath.Join(root, file)); err != nil {
					t.Errorf("%s: %s: there is no %s", name, code, file)
				}
			}
		}
	}
	if n < 50 {
		t.Errorf("found only %d files", n)
	}
}
