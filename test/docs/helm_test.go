package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestHelm: the manifests contain the names that the table of docs/helm.md lists, and
// the commands of that page install the versions of the table.
func TestHelm(t *testing.T) {
	t.Parallel()
	page := file(t, "docs/helm.md")
	_, table, _ := strings.Cut(page, "| chart | what | name | stands in |\n")
	row := regexp.MustCompile("(?m)^\\|([^|]*)\\| [^|]+ \\| `([^|]+)` \\|([^|]*)\\|$")
	code := regexp.MustCompile("`([^`]+)`")
	rows := row.FindAllStringSubmatch(table, -1)
	if len(rows) < 10 || len(rows) != strings.Count(strings.TrimSpace(table), "\n") { // without the rule below the head
		t.Fatalf("read %d rows of the table:\n%s", len(rows), table)
	}
	for _, r := range rows {
		files := code.FindAllStringSubmatch(r[3], -1)
		if len(files) == 0 {
			t.Errorf("%s stands in no file", r[2])
		}
		for _, f := range files {
			if !strings.Contains(file(t, f[1]), r[2]) {
				t.Errorf("%s does not have %s", f[1], r[2])
			}
		}
		if version := regexp.MustCompile(`\d+\.\d+\.\d+`).FindString(r[1]); version != "" && !strings.Contains(page, " --version "+version+" ") {
			t.Errorf("no command installs version %s", version)
		}
	}
	if got := len(regexp.MustCompile(`(?m)^helm install .* --version \d`).FindAllString(page, -1)); got != strings.Count(page, "\nhelm install ") || got != 4 {
		t.Errorf("%d commands install a version, want all 4", got)
	}
}

func file(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Error(err)
	}
	return string(text)
}
