package dashboards

import (
	"regexp"
	"strings"
	"testing"
)

// TestExporter: compose and clusters run the same exporter, with the prefix
// that the dashboard uses, on the port that Prometheus scrapes.
func TestExporter(t *testing.T) {
	t.Parallel()
	image := regexp.MustCompile(`natsio/prometheus-nats-exporter:\S+`).FindString(read(t, "../../docker-compose.yaml"))
	const flags = "[-varz, -connz, -subz, -prefix=nats, -port=7777, "
	for file, want := range map[string][]string{
		"../../docker-compose.yaml": {image, flags},
		"../../.ci/images":          {image},
		"../../.ci/cluster-up":      {image},
		parts + "/components/nats-exporter/kustomization.yaml": {
			image, flags, "{name: metrics, containerPort: 7777}", "{name: metrics, port: 7777, ",
		},
		parts + "/components/prometheus-operator/monitors.yaml": {"  endpoints:\n    - port: metrics\n"},
		parts + "/prometheus/prometheus.yml":                    {"targets: [nats-exporter:7777]"},
		parts + "/prometheus/cluster.yml":                       {"regex: nats;(metrics|prom-metrics) "},
	} {
		for _, text := range want {
			if text == "" || !strings.Contains(read(t, file), text) {
				t.Errorf("%s does not have %q", file, text)
			}
		}
	}
}
