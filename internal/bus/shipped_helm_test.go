package bus_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestShipped_helm: the values for the NATS Helm chart give a server the users
// and limits of nats.conf. The chart writes what is below config.merge into the
// server's configuration, and takes values out of << >>.
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
