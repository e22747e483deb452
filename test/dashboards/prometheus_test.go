//go:build monitoring

package dashboards

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A prometheus is the API of a Prometheus that watches a running job.
type prometheus struct {
	t   *testing.T
	url string
}

func connect(t *testing.T) prometheus {
	t.Helper()
	address := os.Getenv("PROMETHEUS_URL")
	if address == "" {
		t.Fatal("set PROMETHEUS_URL to a Prometheus that has watched a running job for two minutes")
	}
	return prometheus{t: t, url: strings.TrimSuffix(address, "/")}
}

// get sends a request to the API and decodes the data of its answer.
func (p prometheus) get(path string, values url.Values, into any) error {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), time.Minute)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url+path+"?"+values.Encode(), nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer := struct {
		Status, Error string
		Data          any
	}{Data: into}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return fmt.Errorf("decode answer: %w", err)
	}
	if answer.Status != "success" {
		return fmt.Errorf("prometheus: %s", answer.Error)
	}
	return nil
}

// A result has samples of [time, value], or of a histogram.
type result struct {
	Metric     map[string]string
	Value      []any
	Values     [][]any
	Histogram  []any
	Histograms [][]any
}

// numbers reports whether there is anything to draw, which NaN is not.
func (r result) numbers() bool {
	for _, sample := range append(r.Values, r.Value) {
		if len(sample) == 2 {
			if v, err := strconv.ParseFloat(fmt.Sprint(sample[1]), 64); err == nil && !math.IsNaN(v) {
				return true
			}
		}
	}
	return len(r.Histogram)+len(r.Histograms) > 0
}

// ask runs a query as Grafana does: at this moment, or over the last ten minutes.
func (p prometheus) ask(expr string, instant bool) ([]result, error) {
	p.t.Helper()
	path, now := "/api/v1/query", time.Now()
	values := url.Values{"query": {expr}}
	if !instant {
		path = "/api/v1/query_range"
		values.Set("start", strconv.FormatInt(now.Add(-10*time.Minute).Unix(), 10))
		values.Set("end", strconv.FormatInt(now.Unix(), 10))
		values.Set("step", "5")
	}
	var data struct{ Result []result }
	err := p.get(path, values, &data)
	return data.Result, err
}

// TestData: every query has a result in a Prometheus that watches a job.
func TestData(t *testing.T) {
	t.Parallel()
	p := connect(t)
	for file, d := range dashboards(t) {
		var jobs []string
		if err := p.get("/api/v1/label/job/values", url.Values{"match[]": {jobValues.FindStringSubmatch(d.Templating.List[1].Definition)[1]}}, &jobs); err != nil {
			t.Fatal(err)
		}
		if len(jobs) == 0 {
			t.Errorf("%s: nothing to choose from for job", file)
		}
		for _, job := range jobs {
			fill := strings.NewReplacer("$job", job, "$__rate_interval", "1m").Replace
			for _, panel := range d.Panels {
				for _, q := range panel.Targets {
					expr := fill(q.Expr)
					found, err := p.ask(expr, q.Instant)
					drawn := 0
					for _, r := range found {
						if r.numbers() {
							drawn++
						}
					}
					if err != nil || drawn == 0 {
						t.Errorf("%s: %q %s: %d series, %d with numbers, %v: %s", file, panel.Title, q.RefID, len(found), drawn, err, expr)
					}
				}
			}
			for _, a := range d.Annotations.List {
				if a.BuiltIn == 0 {
					if found, err := p.ask(fill(a.Expr), false); err != nil || len(found) == 0 {
						t.Errorf("%s: annotation %s: %d series, %v", file, a.Name, len(found), err)
					}
				}
			}
		}
	}
}

// TestRules: the Prometheus has loaded all rules, and can evaluate each.
func TestRules(t *testing.T) {
	t.Parallel()
	p := connect(t)
	var data struct {
		Groups []struct {
			Rules []struct{ Name, Health, LastError string }
		}
	}
	if err := p.get("/api/v1/rules", nil, &data); err != nil {
		t.Fatal(err)
	}
	health := map[string]string{}
	for _, g := range data.Groups {
		for _, r := range g.Rules {
			health[r.Name] = r.Health + r.LastError
		}
	}
	for _, r := range rules(t) {
		if got := health[r.alert+r.record]; got != "ok" {
			t.Errorf("%s%s: health %q, want ok", r.alert, r.record, got)
		}
	}
}
