//go:build cluster

package cluster

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/chunkline/chunkline/internal/report"
)

// monitored has the settings of a job that runs long enough to be watched.
var monitored = []string{"OBJECTS=200000", "RATE=400", "TRANSFORM=users?duration=100ms", "FINISH_WITHIN=1h"}

// TestPrometheus: the overlay's Prometheus finds every pod, loads the rules, and
// has results for the dashboards' queries.
func TestPrometheus(t *testing.T) {
	parallel(t, 540, 120)
	l := newLab(t, "overlays/prometheus", 3, monitored...)
	l.up("deployment/prometheus")
	l.watched("prometheus", 3)
	l.healthy()
	l.logs.explained(awayTexts...)
}

// TestPrometheusOperator: the Prometheus of a real operator does the same with the monitors
// and the PrometheusRule, and a course's checks of NATS succeed. By its metrics, a canary that
// works but takes twice as long is rolled back. The dashboards have the label for Grafana's
// sidecar.
func TestPrometheusOperator(t *testing.T) {
	parallel(t, 600, 450)
	l := emptyLab(t)
	l.operated(rolloutObjects, 200, "rollout")
	works := l.rolledOut("the first release to be there", "Healthy").Status.StableRS
	l.job("the first release to work alone", onlyAtWork(works, 4))
	l.watched("prometheus-operated", 4)
	l.script("course/monitoring.sh")

	slow := l.refused("slow", works, `Metric "p95-of-objects" assessed Failed`)
	if slow.Saved == 0 || slow.Dead > 0 {
		t.Errorf("slow has %d chunks saved with %d dead letters, want a release that works", slow.Saved, slow.Dead)
	}
	l.logs.explained(awayTexts...)
	l.counted(rolloutObjects, slow)

	files := map[string]string{}
	if err := json.Unmarshal([]byte(l.kubectl("get", "configmaps", "-l", "grafana_dashboard=1", "-o", "jsonpath={.items[0].data}")), &files); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"pipeline.json", "nats.json"} {
		there, err := os.ReadFile("../../deploy/parts/grafana/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if files[name] != string(there) {
			t.Errorf("the ConfigMap's %s is not that of deploy/parts/grafana", name)
		}
	}
}

// operated starts a job of this many objects at a rate, with a shipped strategy of Argo
// Rollouts (its components) and a Prometheus that the operator runs. It sets only what
// the docs leave to the user: the job, the number of mappers and the address of Prometheus.
func (l *lab) operated(objects, rate int, strategy ...string) {
	l.t.Helper()
	text := "resources: [deploy/overlays/prometheus-operator]\ncomponents:\n"
	for _, component := range strategy {
		text += "- deploy/parts/components/" + component + "\n"
	}
	args := map[bool]string{false: "canary/analysis", true: "blueGreen/prePromotionAnalysis"}[strategy[0] == "rollout-blue-green"]
	l.applied(l.kustomize(text + fmt.Sprintf(operatedJob, objects, rate, args, l.ns)))

	binding := "lab-" + l.ns
	l.kubectl("delete", "clusterrolebinding", binding, "--ignore-not-found")
	l.kubectl("create", "clusterrolebinding", binding, "--clusterrole=lab", "--serviceaccount="+l.ns+":lab")
	l.t.Cleanup(func() { l.kubectl("delete", "clusterrolebinding", binding) })
	l.kubectl("apply", "--validate=strict", "-f", "course/prometheus.yaml")
	l.until("the operator to start a Prometheus", func() bool {
		return l.kubectl("get", "statefulsets", "-o", "name", "-l", "app.kubernetes.io/managed-by=prometheus-operator") != ""
	})
	l.up("statefulset/prometheus-lab")
}

const operatedJob = `
configMapGenerator:
- name: chunkline
  behavior: merge
  literals: [OBJECTS=%d, RATE=%d, "TRANSFORM=users?duration=200ms", FINISH_WITHIN=1h]
patches:
- target: {kind: Rollout, name: mapper}
  patch: |
    - {op: replace, path: /spec/replicas, value: 4}
    - {op: replace, path: /spec/strategy/%s/args/0/value, value: "http://prometheus-operated.%s.svc:9090"}
`

// watched expects a Prometheus to scrape every pod with the labels that rules and
// dashboards use, to evaluate every rule, and to fire no alert.
func (l *lab) watched(service string, mappers int) {
	l.t.Helper()
	ask := func(path string, into any) bool {
		answer := struct{ Data any }{Data: into}
		return look(l.t.Context(), l.service(service, 9090)+"/api/v1/"+path, &answer) == nil
	}
	count := func(query string) int {
		var data struct{ Result []any }
		if !ask("query?query="+url.QueryEscape(query), &data) {
			return -1
		}
		return len(data.Result)
	}
	l.job("the job to run", func(s report.Status) bool { return s.State == report.StateRunning && s.Chunks.Saved > 0 })
	for query, want := range map[string]int{
		`up{role="fetcher"} == 1`:    1,
		`up{role="mapper"} == 1`:     mappers,
		`up{role="saver"} == 1`:      1,
		`up{instance="nats-0"} == 1`: 1,
		`up == 0`:                    0,
		fmt.Sprintf(`count by (job) (chunkline_build_info{job="%s/chunkline"})`, l.ns): 1,
		fmt.Sprintf(`nats_varz_connections{job="%s/nats"}`, l.ns):                      1,
		`job:chunkline_active:sum > 0`:                                                 1,
		`rate(chunkline_commit_group_results_count[1m]) > 0`:                           1,
	} {
		l.until(fmt.Sprintf("%d series of %s", want, query), func() bool { return count(query) == want })
	}
	if n := count(`ALERTS{alertstate="firing"}`); n != 0 {
		l.t.Errorf("%d alerts of a good job", n)
	}
	var loaded struct {
		Groups []struct {
			Rules []struct{ Type, Name, Health, LastError string }
		}
	}
	alerts := 0
	if !ask("rules", &loaded) {
		l.t.Fatal("no rules")
	}
	for _, g := range loaded.Groups {
		for _, r := range g.Rules {
			if r.Health != "ok" {
				l.t.Errorf("%s: health %s, %s", r.Name, r.Health, r.LastError)
			}
			if r.Type == "alerting" {
				alerts++
			}
		}
	}
	if alerts != 7 {
		l.t.Errorf("%d alerts are loaded, want 7", alerts)
	}
	l.drawn(service)
}

// drawn expects a result for every query of the dashboards.
func (l *lab) drawn(service string) {
	l.t.Helper()
	compiled := filepath.Join(l.t.TempDir(), "dashboards.test")
	if out, err := exec.CommandContext(l.t.Context(), "go", "test", "-c", "-tags", "monitoring", "-o", compiled, "../dashboards").CombinedOutput(); err != nil {
		l.t.Fatalf("compile test/dashboards: %v\n%s", err, out)
	}
	var text []byte
	defer func() {
		if l.t.Failed() {
			l.t.Logf("the dashboards: %s", text)
		}
	}()
	l.until("the dashboards' queries to have results", func() bool { // a rate needs two samples
		test := exec.CommandContext(l.t.Context(), compiled)
		test.Dir = "../dashboards"
		test.Env = append(os.Environ(), "PROMETHEUS_URL="+api+l.service(service, 9090))
		var err error
		text, err = test.CombinedOutput()
		return err == nil
	})
}
