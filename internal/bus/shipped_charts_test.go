package bus_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
)

// TestShipped_helm: the values for the NATS Helm chart give a server the users and limits
// of nats.conf. The chart copies everything below config.merge into the server's
// configuration, and removes << >> around values.
func TestShipped_helm(t *testing.T) {
	t.Parallel()
	values, err := os.ReadFile(filepath.Join(filepath.Dir(shipped), "../helm/nats.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(values), "\nconfig:\n")
	merge := regexp.MustCompile(`(?s)^(?:  #[^\n]*\n)*  merge:\n((?:    [^\n]*\n)+)\n`).FindStringSubmatch(rest)
	if !found || merge == nil {
		t.Fatal("no config.merge in the values")
	}
	path := filepath.Join(t.TempDir(), "nats.conf")
	write(t, path, []byte(regexp.MustCompile(`<< (\S+) >>`).ReplaceAllString(merge[1], "$1")))
	got, want := load(t, path), load(t, shipped)
	sameUsers(t, got)
	if got.PingInterval != want.PingInterval || got.MaxPingsOut != want.MaxPingsOut || got.WriteDeadline != want.WriteDeadline || got.MaxPayload != want.MaxPayload {
		t.Errorf("ping %s × %d, write deadline %s, payload %d: want %s × %d, %s, %d as in nats.conf", got.PingInterval, got.MaxPingsOut,
			got.WriteDeadline, got.MaxPayload, want.PingInterval, want.MaxPingsOut, want.WriteDeadline, want.MaxPayload)
	}
}

// TestShipped_metrics: NATS reports every metric in deploy/parts/grafana/nats.json. The
// exporter turns every number X in the server's /varz into nats_varz_X, and adds
// nats_connz_pending_bytes, the sum over all clients.
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
		t.Errorf("the dashboard uses only %v", asked)
	}
	for metric := range asked {
		field, varz := strings.CutPrefix(metric, "nats_varz_")
		_, number := reported[field].(float64)
		if made := varz && number || metric == "nats_connz_pending_bytes"; !made {
			t.Errorf("the dashboard uses %s, which the exporter does not have", metric)
		}
	}
}
