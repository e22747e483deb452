package dashboards

import (
	"regexp"
	"strings"
	"testing"
)

// wanted are the alerts that must exist.
var wanted = []string{
	"ChunklineStalled", "ChunklineNoMappers", "ChunklineSaverCannotCommit", "ChunklineDeadLettersRising",
	"ChunklineRedeliveryStorm", "ChunklineWillMissDeadline", "ChunklineNATSAway",
}

// TestAlerts: each alert has a severity, a summary, a description and a runbook, and
// rule tests in which it fires and in which it does not.
func TestAlerts(t *testing.T) {
	t.Parallel()
	const runbook = "https://github.com/chunkline/chunkline/blob/main/docs/alerts.md#"
	doc := read(t, "../../docs/alerts.md")
	tests := read(t, parts+"/prometheus/tests/standstill.yml") + read(t, parts+"/prometheus/tests/trouble.yml")
	there := map[string]bool{}
	for _, r := range rules(t) {
		if r.alert == "" {
			continue
		}
		there[r.alert] = true
		for _, want := range []string{
			`severity: (critical|warning)\b`, `summary: \S.*\.\n`, `description: \S.*\."?\n`, // sentences
			regexp.QuoteMeta("runbook_url: "+runbook+strings.ToLower(r.alert)) + `\n`,
		} {
			if !regexp.MustCompile(want).MatchString(r.text + "\n") {
				t.Errorf("%s: nothing in it matches %s", r.alert, want)
			}
		}
		if !strings.Contains(doc, "\n## "+r.alert+"\n") {
			t.Errorf("docs/alerts.md has no chapter %s", r.alert)
		}
		if !regexp.MustCompile(`alertname: ` + r.alert + `(\n +|, )exp_alerts: *(\n|\*\w)`).MatchString(tests) {
			t.Errorf("%s: no rule test fires it", r.alert)
		}
		if !regexp.MustCompile(`\{eval_time: \w+, alertname: ` + r.alert + `\}`).MatchString(tests) {
			t.Errorf("%s: no rule test wants it quiet", r.alert)
		}
	}
	for _, name := range wanted {
		if !there[name] {
			t.Errorf("no alert %s", name)
		}
		delete(there, name)
	}
	for name := range there {
		t.Errorf("list %s here, too", name)
	}
	for _, chapter := range regexp.MustCompile(`(?m)^## (Chunkline\w+)$`).FindAllStringSubmatch(doc, -1) {
		if !strings.Contains(read(t, parts+"/prometheus/rules.yml"), "alert: "+chapter[1]+"\n") {
			t.Errorf("docs/alerts.md: there is no alert %s", chapter[1])
		}
	}
}

// TestOneSource: the Prometheus operator and compose use these very rules and
// dashboards, not similar copies.
func TestOneSource(t *testing.T) {
	t.Parallel()
	var wrapped strings.Builder
	for line := range strings.Lines(read(t, parts+"/prometheus/rules.yml")) {
		if strings.TrimSpace(line) != "" {
			line = "  " + line
		}
		wrapped.WriteString(line)
	}
	if !strings.HasSuffix(read(t, parts+"/components/prometheus-operator/rules.yaml"), "\nspec:\n"+wrapped.String()) {
		t.Error("deploy/parts/components/prometheus-operator/rules.yaml is not deploy/parts/prometheus/rules.yml: run make manifests")
	}
	for file, text := range map[string]string{
		"../../docker-compose.yaml":           read(t, "../../docker-compose.yaml"),
		parts + "/grafana/kustomization.yaml": read(t, parts+"/grafana/kustomization.yaml"),
	} {
		for _, name := range []string{"pipeline.json", "nats.json"} {
			if !strings.Contains(text, name) {
				t.Errorf("%s does not have %s", file, name)
			}
		}
	}
	for _, config := range []string{"prometheus.yml", "cluster.yml"} {
		if !strings.Contains(read(t, parts+"/prometheus/"+config), "\nrule_files: [rules.yml]\n") {
			t.Errorf("%s does not load rules.yml", config)
		}
	}
}
