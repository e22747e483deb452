package dashboards

import (
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestPanels: each panel has a description and complete queries, and overlaps no other.
func TestPanels(t *testing.T) {
	t.Parallel()
	for file, d := range dashboards(t) {
		if d.ID != nil || d.UID == "" || d.Title == "" || !sentence(d.Description) {
			t.Errorf("%s: it needs uid, title and description, and no id: that is a live Grafana's", file)
		}
		ids, titles, cells := map[int]bool{}, map[string]bool{}, map[[2]int]string{}
		for _, p := range d.Panels {
			complain := func(what string) { t.Errorf("%s: panel %d, %q: %s", file, p.ID, p.Title, what) }
			if p.ID == 0 || ids[p.ID] {
				complain("its id is not its own")
			}
			if p.Title == "" || titles[p.Title] {
				complain("its title is not its own")
			}
			ids[p.ID], titles[p.Title] = true, true
			at := p.GridPos
			if at.W < 1 || at.H < 1 || at.X < 0 || at.X+at.W > 24 {
				complain("it does not fit into 24 columns")
			}
			for x := at.X; x < at.X+at.W; x++ {
				for y := at.Y; y < at.Y+at.H; y++ {
					if other, taken := cells[[2]int{x, y}]; taken {
						complain("it lies over " + other)
					}
					cells[[2]int{x, y}] = p.Title
				}
			}
			if p.Type == "row" {
				if len(p.Panels) > 0 {
					complain("its panels are hidden; list them after it")
				}
				continue
			}
			if !sentence(p.Description) {
				complain("its description is no sentence")
			}
			if p.FieldConfig.Defaults.Unit == "" {
				complain("it has no unit")
			}
			if p.Datasource != (source{Type: "prometheus", UID: "${DS}"}) {
				complain("its data source is not ${DS}")
			}
			refs := map[string]bool{}
			for _, q := range p.Targets {
				if q.Expr == "" || q.LegendFormat == "" || q.Range == q.Instant || q.RefID == "" || refs[q.RefID] {
					complain("a query needs expr, legendFormat, a refId of its own, and either range or instant")
				}
				if q.Datasource != nil {
					complain("a query has the data source of its panel")
				}
				refs[q.RefID] = true
			}
			if len(p.Targets) == 0 {
				complain("it asks for nothing")
			}
			p.incident(complain)
		}
	}
}

// units are the Grafana units that the panels use, besides suffix:TEXT.
var units = []string{"none", "percent", "percentunit", "s", "dtdurations", "bytes", "Bps"}

// incident checks that a panel does not look healthy when its data is missing.
func (p panel) incident(complain func(string)) {
	d := p.FieldConfig.Defaults
	if !slices.Contains(units, d.Unit) && !strings.HasPrefix(d.Unit, "suffix:") {
		complain("Grafana has no unit " + d.Unit)
	}
	for _, q := range p.Targets {
		if strings.HasSuffix(q.Expr, "vector(0)") && strings.HasPrefix(q.LegendFormat, "{{") {
			complain("vector(0) has no labels for the legend: give it one by label_replace")
		}
		if p.Type == "stat" && !q.Instant {
			complain("over a range it shows the last value of a process that is gone")
		}
	}
	if p.Type != "stat" || !slices.ContainsFunc(p.Targets, func(q target) bool { return !always.MatchString(q.Expr) }) {
		return
	}
	missing := slices.ContainsFunc(d.Mappings, func(m mapping) bool {
		return m.Type == "special" && strings.Contains(string(m.Options), `"match": "null+nan"`) && strings.Contains(string(m.Options), `"text": "`+d.NoValue+`"`)
	})
	if d.NoValue == "" || !missing && d.Color.FixedColor != "text" {
		complain("it needs a noValue, and a mapping of null+nan to it in a colour that is not that of a good value")
	}
}

// always matches queries that always have a result.
var always = regexp.MustCompile(`or vector\(-?\d\)$`)

func sentence(text string) bool { return len(text) > 10 && strings.HasSuffix(text, ".") }

// TestVariables: both dashboards have variables for the Prometheus and the installation,
// and every query uses them.
func TestVariables(t *testing.T) {
	t.Parallel()
	for file, d := range dashboards(t) {
		if v := d.Templating.List; len(v) != 2 || v[0].Name != "DS" || v[0].Type != "datasource" ||
			v[1].Name != "job" || v[1].Datasource.UID != "${DS}" || !jobValues.MatchString(v[1].Definition) {
			t.Errorf("%s: variables are %+v; want DS, and job of label_values(METRIC, job)", file, v)
		}
		for where, expr := range d.queries() {
			for _, s := range selector.FindAllStringSubmatch(expr, -1) {
				if !strings.HasPrefix(s[2], `{job="$job"`) {
					t.Errorf("%s: %s: %s%s is not of one installation", file, where, s[1], s[2])
				}
			}
			if strings.Contains(expr, "rate(") && !strings.Contains(expr, "[$__rate_interval]") {
				t.Errorf("%s: %s: a rate is over $__rate_interval", file, where)
			}
		}
	}
}

var jobValues = regexp.MustCompile(`^label_values\((\w+), job\)$`)

// queries returns all queries of a dashboard by their place.
func (d dashboard) queries() map[string]string {
	all := map[string]string{}
	for _, p := range d.Panels {
		for _, q := range p.Targets {
			all[p.Title+" "+q.RefID] = q.Expr
		}
	}
	for _, a := range d.Annotations.List {
		if a.BuiltIn == 0 {
			all["annotation "+a.Name] = a.Expr
		}
	}
	return all
}

var (
	selector = regexp.MustCompile(`(?:^|[^:\w])((?:chunkline|nats|process|go)_\w+)(\{[^}]*\})?`)
	matcher  = regexp.MustCompile(`(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"`)
	grouping = regexp.MustCompile(`\b(?:by|on|ignoring|without|group_left|group_right) \(([^)]*)\)`)
)

// targetLabels are the labels that every target has, with compose and in a cluster.
var targetLabels = []string{"job", "instance", "role"}

// TestNames: dashboards and rules use only documented metrics and labels.
func TestNames(t *testing.T) {
	t.Parallel()
	documented := metrics(t)
	exprs := map[string]string{}
	for file, d := range dashboards(t) {
		for where, expr := range d.queries() {
			exprs[file+": "+where] = expr
		}
	}
	recorded := map[string]bool{}
	for _, r := range rules(t) {
		exprs["rules.yml: "+r.alert+r.record] = r.expr
		recorded[r.record] = true
	}
	used := map[string]bool{}
	for where, expr := range exprs {
		allowed := map[string]bool{"le": strings.Contains(expr, "_bucket")}
		for _, l := range targetLabels {
			allowed[l] = true
		}
		for _, s := range selector.FindAllStringSubmatch(expr, -1) {
			if !strings.HasPrefix(s[1], "chunkline_") {
				continue
			}
			name, m, there := lookUp(documented, s[1])
			if !there {
				t.Errorf("%s: docs/metrics.md has no %s", where, s[1])
				continue
			}
			used[name] = true
			for l := range m.labels {
				allowed[l] = true
			}
			for _, label := range matcher.FindAllStringSubmatch(s[2], -1) {
				values, has := m.labels[label[1]]
				if !has && !slices.Contains(targetLabels, label[1]) {
					t.Errorf("%s: %s has no label %s", where, name, label[1])
				}
				if strings.HasSuffix(label[2], "=") && values != nil && !slices.Contains(values, label[3]) {
					t.Errorf("%s: %s of %s is never %q", where, label[1], name, label[3])
				}
			}
		}
		for _, g := range grouping.FindAllStringSubmatch(expr, -1) {
			for label := range strings.SplitSeq(g[1], ",") {
				if label = strings.TrimSpace(label); label != "" && !allowed[label] && strings.Contains(expr, "chunkline_") {
					t.Errorf("%s: nothing there has the label %s", where, label)
				}
			}
		}
		for _, name := range regexp.MustCompile(`\bjob:\w+:\w+`).FindAllString(expr, -1) {
			if !recorded[name] {
				t.Errorf("%s: %s is not recorded", where, name)
			}
		}
	}
	if len(used) < 30 {
		t.Errorf("only %d of %d metrics are used: %v", len(used), len(documented), slices.Sorted(maps.Keys(used)))
	}
}

// lookUp finds the metric of a series.
func lookUp(documented map[string]metric, series string) (string, metric, bool) {
	for _, suffix := range []string{"", "_bucket", "_sum", "_count"} {
		if name, has := strings.CutSuffix(series, suffix); has {
			if m, there := documented[name]; there && (suffix == "" || m.histogram) {
				return name, m, true
			}
		}
	}
	return series, metric{}, false
}

// TestTidy: the keys of a panel are in a fixed order, so that a diff shows only real
// changes.
func TestTidy(t *testing.T) {
	t.Parallel()
	key := regexp.MustCompile(`^ {6}"(\w+)": `)
	order := []string{"id", "type", "title", "description", "collapsed", "gridPos", "panels", "datasource", "pluginVersion", "fieldConfig", "options", "targets"}
	for _, file := range []string{"pipeline.json", "nats.json"} {
		_, panels, found := strings.Cut(read(t, filepath.Join(parts, "grafana", file)), "\n  \"panels\": [\n")
		if !found {
			t.Errorf("%s: no panels at the indent of two blanks", file)
		}
		last := -1
		for n, line := range strings.Split(panels, "\n") {
			if line == "    {" {
				last = -1
			}
			if at := key.FindStringSubmatch(line); at != nil {
				i := slices.Index(order, at[1])
				if i <= last {
					t.Errorf("%s: line %d of the panels: %q; the order is %v", file, n+1, at[1], order)
				}
				last = i
			}
			if strings.TrimRight(line, " \t") != line {
				t.Errorf("%s: line %d of the panels ends with a blank", file, n+1)
			}
		}
	}
}
