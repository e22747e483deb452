package dashboards

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const parts = "../../deploy/parts"

// A dashboard has the fields of a Grafana dashboard that the tests use.
type dashboard struct {
	ID          any // set only by a live Grafana; a file must have none
	UID, Title  string
	Description string
	Annotations struct{ List []annotation }
	Templating  struct{ List []variable }
	Panels      []panel
}

type annotation struct {
	Name, Expr string
	BuiltIn    int
}

type variable struct {
	Name, Type, Definition string
	Datasource             source
}

type panel struct {
	ID                       int
	Type, Title, Description string
	GridPos                  struct{ X, Y, W, H int }
	Datasource               source
	FieldConfig              struct{ Defaults defaults }
	Targets                  []target
	Panels                   []json.RawMessage // of a collapsed row
}

// Defaults determine how the fields of a panel are shown.
type defaults struct {
	Unit, NoValue string
	Color         struct{ Mode, FixedColor string }
	Mappings      []mapping
}

type mapping struct {
	Type    string
	Options json.RawMessage
}

type source struct{ Type, UID string }

type target struct {
	RefID, Expr, LegendFormat string
	Range, Instant            bool
	Datasource                *source
}

// dashboards reads the dashboards of deploy/parts/grafana, by file name.
func dashboards(t *testing.T) map[string]dashboard {
	t.Helper()
	files, err := filepath.Glob(parts + "/grafana/*.json")
	if err != nil || len(files) != 2 {
		t.Fatalf("dashboards: %v, %v; want 2", files, err)
	}
	all := map[string]dashboard{}
	for _, file := range files {
		var d dashboard
		if err := json.Unmarshal([]byte(read(t, file)), &d); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		all[filepath.Base(file)] = d
	}
	return all
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// A rule is an alert or a recorded series of deploy/parts/prometheus/rules.yml.
type rule struct{ record, alert, expr, text string }

var (
	ruleStart = regexp.MustCompile(`(?m)^ {6}- (alert|record): (\S+)$`)
	ruleExpr  = regexp.MustCompile(`(?m)^ {8}expr: (?:>-\n((?: {10}.*\n)+)|(.*))`)
)

// rules reads the rules. It parses only the YAML style of that file; promtool checks the rest.
func rules(t *testing.T) []rule {
	t.Helper()
	text := read(t, parts+"/prometheus/rules.yml")
	var all []rule
	starts := ruleStart.FindAllStringSubmatchIndex(text, -1)
	for i, at := range starts {
		end := len(text)
		if i+1 < len(starts) {
			end = starts[i+1][0]
		}
		r := rule{text: text[at[0]:end]}
		if name := text[at[4]:at[5]]; text[at[2]:at[3]] == "alert" {
			r.alert = name
		} else {
			r.record = name
		}
		found := ruleExpr.FindStringSubmatch(r.text)
		if found == nil {
			t.Fatalf("no expr in\n%s", r.text)
		}
		r.expr = strings.Join(strings.Fields(found[1]+found[2]), " ")
		all = append(all, r)
	}
	if len(all) < 10 || strings.Count(text, "expr:") != len(all) {
		t.Fatalf("found %d rules, and %d times expr:", len(all), strings.Count(text, "expr:"))
	}
	return all
}

// A metric is a row of docs/metrics.md, with the possible values of each label, none if any is possible.
type metric struct {
	histogram bool
	labels    map[string][]string
}

var row = regexp.MustCompile("(?m)^\\| `(chunkline_[a-z_]+)` \\| (\\w+) \\| ([^|]*) \\|")

func metrics(t *testing.T) map[string]metric {
	t.Helper()
	all := map[string]metric{}
	for _, found := range row.FindAllStringSubmatch(read(t, "../../docs/metrics.md"), -1) {
		m, known := all[found[1]]
		if !known {
			m = metric{histogram: found[2] == "histogram", labels: map[string][]string{}}
		}
		for label := range strings.SplitSeq(found[3], ";") {
			name, values, closed := strings.Cut(strings.TrimSpace(label), ":")
			name = strings.Trim(name, "`")
			if name == "" {
				continue
			}
			if closed {
				m.labels[name] = append(m.labels[name], strings.Split(strings.TrimSpace(values), ", ")...)
			} else {
				m.labels[name] = nil
			}
		}
		all[found[1]] = m
	}
	if len(all) < 40 {
		t.Fatalf("docs/metrics.md has only %d metrics", len(all))
	}
	return all
}
