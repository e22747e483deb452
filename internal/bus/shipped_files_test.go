package bus_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"

	"github.com/chunkline/chunkline/internal/bus"
)

// TestShipped_settings: a server as it is shipped listens where the manifests
// say, and gives up clients that are gone or do not read.
func TestShipped_settings(t *testing.T) {
	t.Parallel()
	o := load(t, shipped)
	if o.Port != 4222 || o.HTTPPort != 8222 || o.PingInterval != 5*time.Second || o.MaxPingsOut != 2 ||
		o.WriteDeadline != 5*time.Second || o.MaxPayload != 1<<20 {
		t.Errorf("port %d, http %d, ping %s × %d, write deadline %s, payload %d: want 4222, 8222, 5s × 2, 5s, 1 MiB",
			o.Port, o.HTTPPort, o.PingInterval, o.MaxPingsOut, o.WriteDeadline, o.MaxPayload)
	}
	if o.TLSConfig != nil || o.Cluster.Port != 0 {
		t.Error("TLS or a cluster is configured, want neither")
	}
}

// copyShipped copies the shipped configurations, with the paths of TLS files
// replaced by those of a new certificate for 127.0.0.1.
func copyShipped(t *testing.T) (dir, certificate string) {
	t.Helper()
	dir = t.TempDir()
	certificate = filepath.Join(dir, "tls.crt")
	for _, name := range []string{"nats.conf", "tls.conf", "cluster.conf"} {
		text, err := os.ReadFile(filepath.Join(filepath.Dir(shipped), name))
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, name), []byte(strings.ReplaceAll(string(text), "/etc/nats-tls", dir)))
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write(t, certificate, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	write(t, filepath.Join(dir, "tls.key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
	return dir, certificate
}

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestShipped_tls: with tls.conf a role gets in over TLS with its password, and
// no other way.
func TestShipped_tls(t *testing.T) {
	t.Parallel()
	dir, certificate := copyShipped(t)
	options := load(t, filepath.Join(dir, "tls.conf"))
	sameUsers(t, options)
	url := strings.Replace(start(t, options).ClientURL(), "nats://", "tls://", 1)
	cfg := bus.Config{URL: url, User: "mapper", Password: passwords[bus.RoleMapper], CA: certificate}
	b, err := bus.Connect(cfg, bus.Patient(bus.Options{Job: "tls", Role: bus.RoleMapper, Log: zerolog.Nop()}))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if err := b.WaitOnline(patience(t)); err != nil {
		t.Error(err)
	}
	_, err = nats.Connect(url, nats.UserInfo("mapper", canary), nats.RootCAs(certificate), nats.Timeout(long))
	if !errors.Is(err, nats.ErrAuthorization) {
		t.Errorf("with a wrong password: %v, want %v", err, nats.ErrAuthorization)
	}
	_, err = nats.Connect(url, nats.UserInfo("mapper", passwords[bus.RoleMapper]), nats.Timeout(long)) // trusts the system's authorities
	if _, unknown := errors.AsType[x509.UnknownAuthorityError](err); !unknown {
		t.Errorf("without the CA: %v, want an unknown authority", err)
	}
}

// TestShipped_cluster: with cluster.conf servers find each other by the route's
// password, and a message crosses from one to the other.
func TestShipped_cluster(t *testing.T) {
	t.Parallel()
	dir, _ := copyShipped(t)
	path := filepath.Join(dir, "cluster.conf")
	options := load(t, path)
	sameUsers(t, options)
	c := options.Cluster
	if options.ServerName != "nats-0" || c.Name != "chunkline" || c.Port != 6222 || c.Username != "route" || c.Password != canary {
		t.Errorf("server %q of cluster %q, port %d, user %q: want nats-0, chunkline, 6222, route with its password",
			options.ServerName, c.Name, c.Port, c.Username)
	}
	for i, want := range []string{"nats-0.nats:6222", "nats-1.nats:6222", "nats-2.nats:6222"} {
		if len(options.Routes) != 3 || options.Routes[i].Host != want || options.Routes[i].User.Username() != "route" {
			t.Fatalf("routes %v, want the three servers, by the user route", options.Routes)
		}
	}
	first := join(t, options, "nats-0", nil)
	second := join(t, load(t, path), "nats-1", first)
	hears := dial(t, second.ClientURL(), "fetcher", passwords[bus.RoleFetcher])
	heard := make(chan struct{}, 1000)
	if _, err := hears.Subscribe("chunkline.perm.beat", func(*nats.Msg) { heard <- struct{}{} }); err != nil {
		t.Fatal(err)
	}
	says := dial(t, first.ClientURL(), "mapper", passwords[bus.RoleMapper])
	ctx := patience(t)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if err := says.Publish("chunkline.perm.beat", nil); err != nil {
			t.Fatal(err)
		}
		select {
		case <-heard:
			return
		case <-tick.C: // the route, or interest in the subject, is not there yet
		case <-ctx.Done():
			t.Fatal("no message crosses the route")
		}
	}
}

// join starts a server of a cluster on loopback, with a route to another one.
func join(t *testing.T, o *server.Options, name string, to *server.Server) *server.Server {
	t.Helper()
	o.ServerName, o.Cluster.Host, o.Cluster.Port = name, "127.0.0.1", server.RANDOM_PORT
	route := *o.Routes[0] // with the user and password that the file gives
	o.Routes = nil
	if to != nil {
		route.Host = to.ClusterAddr().String()
		o.Routes = append(o.Routes, &route)
	}
	return start(t, o)
}

// sameUsers: what includes nats.conf changes no user and no permission.
func sameUsers(t *testing.T, o *server.Options) {
	t.Helper()
	users := load(t, shipped).Users
	if len(o.Users) != len(users) || o.NoAuthUser != "" {
		t.Fatalf("%d users, want %d as in nats.conf", len(o.Users), len(users))
	}
	for i, user := range users {
		if o.Users[i].Username != user.Username || !slices.Equal(o.Users[i].Permissions.Publish.Allow, user.Permissions.Publish.Allow) ||
			!slices.Equal(o.Users[i].Permissions.Subscribe.Allow, user.Permissions.Subscribe.Allow) || o.Users[i].Password != user.Password {
			t.Errorf("%s differs from nats.conf", user.Username)
		}
	}
}
