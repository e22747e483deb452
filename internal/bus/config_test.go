package bus_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"github.com/chunkline/chunkline/internal/bus"
	"github.com/chunkline/chunkline/internal/bus/natsserver"
)

// canary stands where a secret would; it must show up nowhere.
const canary = "cAn4ry-s3cret"

func TestRedact(t *testing.T) {
	t.Parallel()
	for urls, want := range map[string]string{
		"nats://127.0.0.1:4222":                           "nats://127.0.0.1:4222",
		"nats://a:1,tls://b:2":                            "nats://a:1,tls://b:2",
		"nats://[::1]:4222":                               "nats://[::1]:4222",
		"nats://user:" + canary + "@host:4222":            "nats://***@host:4222",
		"nats://" + canary + "@host":                      "nats://***@host",
		"user:" + canary + "@host:4222":                   "***@host:4222",
		"nats://user:" + canary + "@a,nats://b:4222":      "nats://***@a,nats://b:4222",
		"nats://a,nats://user:" + canary + "@b":           "nats://***@b",
		"nats://user:p/" + canary + "@host":               "nats://***@host",
		"nats://user:p@" + canary + "@host":               "nats://***@host",
		"nats://user:p," + canary + "@host":               "nats://***@host",
		"nats://user:" + canary + "%zz@host":              "nats://***@host",
		"nats://user:" + canary:                           "nats://user:***",
		"user:" + canary:                                  "user:***",
		"nats://a:1,nats://user:" + canary:                "nats://a:1,nats://user:***",
		"nats://user:" + canary + "@a,nats://u:" + canary: "nats://***@a,nats://u:***",
	} {
		if got := bus.Redact(urls); got != want {
			t.Errorf("%s is shown as %s, want %s", urls, got, want)
		}
	}
}

func TestConnect_wrongSettings(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	missing, junk := filepath.Join(dir, "missing"), write("junk", canary)
	good := bus.Options{Job: "job", Role: bus.RoleMapper, Log: zerolog.Nop()}
	local := "nats://127.0.0.1:4222"
	for _, test := range []struct {
		cfg  bus.Config
		want string // in the error
	}{
		{bus.Config{}, `NATS_URL=""`},
		{bus.Config{URL: "127.0.0.1:4222"}, `NATS_URL="127.0.0.1:4222"`},
		{bus.Config{URL: "http://127.0.0.1:4222"}, `begins with nats://`},
		{bus.Config{URL: "nats://"}, `NATS_URL="nats://"`},
		{bus.Config{URL: "nats://host:99999"}, `port from 1 to 65535`},
		{bus.Config{URL: local + ","}, `NATS_URL`},
		{bus.Config{URL: "nats://user:" + canary + "%zz@host:4222"}, `NATS_URL="nats://***@host:4222"`},
		{bus.Config{URL: "nats://user:" + canary}, `NATS_URL="nats://user:***"`},
		{bus.Config{URL: "nats:/user:" + canary + "@host"}, `NATS_URL`},
		{bus.Config{URL: "nats://u:" + canary + "@host:99999"}, `port from 1 to 65535`},
		{bus.Config{URL: local, Password: canary}, `NATS_PASSWORD`},
		{bus.Config{URL: local, User: "u", Password: canary, Creds: junk}, `NATS_USER, NATS_CREDS`},
		{bus.Config{URL: local, User: "u", Token: canary}, `NATS_USER, NATS_TOKEN`},
		{bus.Config{URL: local, Creds: missing}, `NATS_CREDS="` + missing},
		{bus.Config{URL: local, Creds: junk}, `NATS_CREDS="` + junk},
		{bus.Config{URL: local, NKey: missing}, `NATS_NKEY="` + missing},
		{bus.Config{URL: local, NKey: junk}, `NATS_NKEY="` + junk},
		{bus.Config{URL: local, Cert: junk}, `NATS_CERT, NATS_KEY`},
		{bus.Config{URL: local, Cert: junk, Key: junk}, `NATS_CERT="` + junk},
		{bus.Config{URL: local, CA: missing}, `NATS_CA="` + missing},
		{bus.Config{URL: local, CA: junk}, `NATS_CA="` + junk},
	} {
		b, err := bus.Connect(test.cfg, good)
		if err == nil {
			b.Close()
		}
		if !errors.Is(err, bus.ErrSettings) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("error %v, want %v with %s", err, bus.ErrSettings, test.want)
		} else if strings.Contains(err.Error(), canary) {
			t.Errorf("error shows a secret: %v", err)
		}
	}
	for name, o := range map[string]bus.Options{
		"JOB": {Job: "a.b", Role: bus.RoleMapper}, "role": {Job: "job", Role: "boss"},
	} {
		if _, err := bus.Connect(bus.Config{URL: local}, o); !errors.Is(err, bus.ErrSettings) || !strings.Contains(err.Error(), name) {
			t.Errorf("error %v, want %v with %s", err, bus.ErrSettings, name)
		}
	}
}

func TestServer_listen(t *testing.T) {
	t.Parallel()
	first, err := natsserver.Start(natsserver.Options{Listen: "127.0.0.1:0", Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	defer first.Shutdown()
	address := strings.TrimPrefix(first.URL(), "nats://")
	if address == first.URL() {
		t.Fatalf("URL is %q", first.URL())
	}
	_, err = natsserver.Start(natsserver.Options{Listen: address, Log: zerolog.Nop()})
	if want := "listen on " + address + ": address already in use"; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
	for _, wrong := range []string{"4222", "host:port", "127.0.0.1:70000", "127.0.0.1:-1", "a b"} {
		if _, err := natsserver.Start(natsserver.Options{Listen: wrong}); !errors.Is(err, bus.ErrSettings) {
			t.Errorf("listen on %q: error %v, want %v", wrong, err, bus.ErrSettings)
		}
	}
}
