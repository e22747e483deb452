package bus_test

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
)

// TestShipped_metrics: NATS reports what deploy/parts/grafana/nats.json asks for. The
// exporter makes nats_varz_X of every number X in the server's /varz; of its
// own it adds nats_connz_pending_bytes, the sum over all clients.
func TestShipped_metrics(t *testing.T) {
	t.Parallel()
	varz, err := start(t, load(t, shipped)).Varz(&server.VarzOptions{})
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(varz)
	if err != nil {
		t.Fatal(err)
	}
	reported := map[string]any{}
	if err := json.Unmarshal(text, &reported); err != nil {
		t.Fatal(err)
	}
	dashboard, err := os.ReadFile("../../deploy/parts/grafana/nats.json")
	if err != nil {
		t.Fatal(err)
	}
	asked := map[string]bool{}
	for _, metric := range regexp.MustCompile(`\w+\{job=`).FindAllString(string(dashboard), -1) {
		asked[strings.TrimSuffix(metric, "{job=")] = true
	}
	if len(asked) < 10 {
		t.Errorf("the dashboard asks for %v, want more", asked)
	}
	for metric := range asked {
		field, varz := strings.CutPrefix(metric, "nats_varz_")
		_, number := reported[field].(float64)
		if made := varz && number || metric == "nats_connz_pending_bytes"; !made {
			t.Errorf("the dashboard asks for %s, which the exporter does not make", metric)
		}
	}
}
