package metrics

import (
	_ "embed"
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/chunkline/chunkline/internal/app"
	"github.com/chunkline/chunkline/internal/fetcher"
	"github.com/chunkline/chunkline/internal/mapper"
	"github.com/chunkline/chunkline/internal/metrics"
	"github.com/chunkline/chunkline/internal/saver"
)

var update = flag.Bool("update", false, "write docs/metrics.md")

//go:embed head.md
var head string

const docsFile = "../../docs/metrics.md"

// TestDocs: docs/metrics.md matches the declarations in the code.
func TestDocs(t *testing.T) {
	t.Parallel()
	text := head
	everywhere := map[string]bool{}
	var nats []metrics.Doc
	for _, d := range fetcher.Metrics() {
		if strings.HasPrefix(d.Name, "chunkline_nats_") {
			nats = append(nats, d)
			everywhere[d.Name] = true
		}
	}
	for _, section := range []struct {
		title string
		docs  []metrics.Doc
		skip  map[string]bool
	}{
		{"Every role", append(app.Metrics(), nats...), nil},
		{"Fetcher", fetcher.Metrics(), everywhere},
		{"Mapper", mapper.Metrics(), everywhere},
		{"Saver", saver.Metrics(), everywhere},
	} {
		text += "\n## " + section.title + "\n\n| name | type | labels | unit | meaning |\n|---|---|---|---|---|\n"
		for _, d := range section.docs {
			if !section.skip[d.Name] {
				text += row(d)
			}
		}
	}
	if *update {
		if err := os.WriteFile(docsFile, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	there, err := os.ReadFile(docsFile)
	if err != nil {
		t.Fatal(err)
	}
	if string(there) != text {
		t.Error("docs/metrics.md is not what the code declares: run go test ./test/metrics -run TestDocs -update")
	}
}

func row(d metrics.Doc) string {
	labels := make([]string, len(d.Labels))
	for i, l := range d.Labels {
		labels[i] = "`" + l.Name + "`"
		if len(l.Values) > 0 {
			labels[i] += ": " + strings.Join(l.Values, ", ")
		}
	}
	return fmt.Sprintf("| `%s` | %s | %s | %s | %s |\n", d.Name, d.Type, strings.Join(labels, "; "), d.Unit(), strings.ReplaceAll(d.Help, "|", "\\|"))
}

// TestNames: all names of metrics have the same form.
func TestNames(t *testing.T) {
	t.Parallel()
	form := regexp.MustCompile(`^chunkline(_[a-z]+)+$`)
	for role, docs := range roles() {
		seen := map[string]bool{}
		for _, d := range docs {
			switch counter := strings.HasSuffix(d.Name, "_total"); {
			case !form.MatchString(d.Name):
				t.Errorf("%s: %s is not of the form chunkline_<noun>_<unit>[_total]", role, d.Name)
			case counter != (d.Type == "counter"):
				t.Errorf("%s: %s is a %s; a counter ends with _total, and nothing else does", role, d.Name, d.Type)
			case seen[d.Name]:
				t.Errorf("%s declares %s twice", role, d.Name)
			case !strings.HasSuffix(d.Help, "."):
				t.Errorf("%s: the help of %s is no sentence", role, d.Name)
			}
			seen[d.Name] = true
		}
	}
}

func roles() map[string][]metrics.Doc {
	return map[string][]metrics.Doc{"app": app.Metrics(), "fetcher": fetcher.Metrics(), "mapper": mapper.Metrics(), "saver": saver.Metrics()}
}
