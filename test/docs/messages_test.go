package docs

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// foreign are parts of messages that come from Go's library, gojq or NATS.
var foreign = []string{
	"executable file not found in $PATH", "function not defined: keys_unsorted/", "Authorization Violation: check NATS_USER and NATS_PASSWORD",
	"could not be parsed", "interface conversion",
}

// TestMessages: the messages for which the pages have a remedy exist in the programs.
// It compares the parts of a message between "…" and values.
func TestMessages(t *testing.T) {
	t.Parallel()
	product := productSource(t)
	value := regexp.MustCompile(`…|"[^"]*"|\b\d+\S*`)
	code := regexp.MustCompile("`([^`]+)`")
	for page, heading := range map[string]string{"docs/laptop.md": "## Troubleshooting", "docs/operations.md": "## What to do when"} {
		text, err := os.ReadFile(filepath.Join(root, page))
		if err != nil {
			t.Fatal(err)
		}
		_, table, _ := strings.Cut(string(text), heading)
		table, _, _ = strings.Cut(table, "\n## ")
		n := 0
		for row := range strings.Lines(strings.ReplaceAll(table, `\|`, "\x00")) {
			cells := strings.Split(row, "|")
			if len(cells) < 3 {
				continue
			}
			for _, message := range code.FindAllStringSubmatch(cells[1], -1) {
				for _, part := range value.Split(strings.ReplaceAll(message[1], "\x00", "|"), -1) {
					part = strings.Trim(part, " ,:;")
					known := strings.Contains(product, part)
					for _, f := range foreign {
						known = known || strings.Contains(f, part)
					}
					if n++; strings.Contains(part, " ") && !known {
						t.Errorf("%s: no program prints %q of %s", page, part, message[0])
					}
				}
			}
		}
		if n < 10 {
			t.Errorf("%s has only %d messages under %s", page, n, heading)
		}
	}
}

// productSource returns all Go code except tests, with the parts of each string
// literal joined.
func productSource(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for _, dir := range []string{"cmd", "internal"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			text, err := os.ReadFile(path)
			all.Write(text)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	joined := regexp.MustCompile(`"\s*\+\s*"`).ReplaceAllString(all.String(), "")
	return strings.ReplaceAll(joined, `\"`, `"`)
}
