package bus_test

import (
	"encoding/json"
	"strconv"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"github.com/rs/zerolog"

	"github.com/chunkline/chunkline/internal/bus"
	"github.com/chunkline/chunkline/internal/bus/natsserver"
	"github.com/chunkline/chunkline/internal/wire"
)

// TestReply_foreignSubject: a requester cannot make us publish to a subject of
// its choice, nor close our connection by choosing one that is denied.
func TestReply_foreignSubject(t *testing.T) {
	t.Parallel()
	url := guarded(t, &server.Permissions{
		Publish:   &server.SubjectPermission{Allow: []string{"chunkline.>", "_INBOX_M.>"}},
		Subscribe: &server.SubjectPermission{Allow: []string{">"}},
	})
	cfg := bus.Config{URL: url, User: "u", Password: canary}
	b, err := bus.Connect(cfg, bus.Patient(bus.Options{Job: "job", Role: bus.RoleFetcher, Log: zerolog.Nop()}))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	replied := make(chan error, 1)
	_, err = b.Serve(bus.Service{Name: "fetcher", Version: "1.0.0", Endpoints: []bus.Endpoint{
		{Verb: wire.VerbNext, Handle: func(r *bus.Request) { replied <- r.Reply(wire.Message{}) }},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Flush(patience(t)); err != nil {
		t.Fatal(err)
	}
	nc, err := nats.Connect(url, nats.UserInfo("u", canary), nats.Timeout(long))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	control, err := nc.SubscribeSync("chunkline.job.control")
	if err != nil {
		t.Fatal(err)
	}
	for _, reply := range []string{"chunkline.job.control", "_INBOX_X.1"} { // the second is an inbox, but denied
		if err := nc.PublishRequest("chunkline.job.next", reply, nil); err != nil {
			t.Fatal(err)
		}
		if err := <-replied; err != nil {
			t.Errorf("reply to %s: %v", reply, err)
		}
		if err := b.Flush(patience(t)); err != nil {
			t.Fatal(err)
		}
	}
	if err := nc.FlushWithContext(patience(t)); err != nil {
		t.Fatal(err)
	}
	if n, _, err := control.Pending(); err != nil || n != 0 {
		t.Errorf("%d messages at the subject that the requester chose (%v), want none", n, err)
	}
	if err := b.Err(); err != nil {
		t.Errorf("bus is closed: %v", err)
	}
}

// TestServe_discovery: nats micro finds a service, its job's endpoints and its
// real version; a hidden one it does not find.
func TestServe_discovery(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	saver, mapper := n.connect(bus.RoleSaver), n.connect(bus.RoleMapper)
	ignore := func(*bus.Request) {}
	for _, s := range []struct {
		b *bus.Bus
		s bus.Service
	}{
		{saver, bus.Service{Name: "saver", Version: "dev-dirty", Endpoints: []bus.Endpoint{
			{Verb: wire.VerbSave, Queue: "saver", Handle: ignore}, {Verb: wire.VerbStatus, Handle: ignore},
		}}},
		{mapper, bus.Service{Name: "mapper", Hidden: true, Endpoints: []bus.Endpoint{{Verb: wire.VerbMapper(mapper.ID()), Handle: ignore}}}},
	} {
		if _, err := s.b.Serve(s.s); err != nil {
			t.Fatal(err)
		}
		if err := s.b.Flush(patience(t)); err != nil {
			t.Fatal(err)
		}
	}
	nc, err := nats.Connect(n.url, nats.Timeout(long))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	inbox, err := nc.SubscribeSync(nats.NewInbox())
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.PublishRequest("$SRV.INFO", inbox.Subject, nil); err != nil {
		t.Fatal(err)
	}
	answer, err := inbox.NextMsg(long)
	if err != nil {
		t.Fatal(err)
	}
	var info micro.Info
	if err := json.Unmarshal(answer.Data, &info); err != nil {
		t.Fatal(err)
	}
	if info.Name != "chunkline-saver" || info.Version != "0.0.0" || info.Metadata["version"] != "dev-dirty" {
		t.Errorf("found %+v", info.ServiceIdentity)
	}
	found := map[string]string{}
	for _, e := range info.Endpoints {
		found[e.Subject] = e.QueueGroup
	}
	if queue, has := found["chunkline.suite.save"]; !has || queue != "saver" {
		t.Errorf("endpoints %v, want save with queue saver", found)
	}
	if queue, has := found["chunkline.suite.status"]; !has || queue != "" {
		t.Errorf("endpoints %v, want status without a queue", found)
	}
	if err := nc.FlushWithContext(patience(t)); err != nil {
		t.Fatal(err)
	}
	if n, _, err := inbox.Pending(); err != nil || n != 0 {
		t.Errorf("%d more services were found, %v", n, err)
	}
}

func TestSemVer(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]string{
		"1.2.3": "1.2.3", "v1.2.3": "1.2.3", "v0.1.0-3-gabcdef0": "0.1.0-3-gabcdef0", "": "0.0.0", "dev": "0.0.0",
		"1.2": "0.0.0", "v1.02.3": "0.0.0", "6fce3a1-dirty": "0.0.0",
	} {
		got, metadata := bus.SemVer(version)
		if got != want {
			t.Errorf("%q is shown as %s, want %s", version, got, want)
		}
		if kept := metadata["version"]; want == "0.0.0" && kept != version {
			t.Errorf("%q is kept as %q", version, kept)
		}
	}
}

// TestServer_inProcess: a bus works with an embedded server that has no port.
func TestServer_inProcess(t *testing.T) {
	t.Parallel()
	s, err := natsserver.Start(natsserver.Options{Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Shutdown()
	if s.URL() != "" {
		t.Errorf("got the URL %q of a server that does not listen, want none", s.URL())
	}
	connect := func(role bus.Role) *bus.Bus {
		b, err := bus.Connect(bus.Config{}, bus.Patient(bus.Options{Job: "job", Role: role, Server: s, Log: zerolog.Nop()}))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(b.Close)
		if !b.Online() {
			t.Error("not online immediately")
		}
		return b
	}
	server := connect(bus.RoleSaver)
	_, err = server.Serve(bus.Service{Name: "saver", Version: "1.0.0", Endpoints: []bus.Endpoint{
		{Verb: wire.VerbSave, Handle: func(r *bus.Request) { _ = r.Reply(wire.Message{Body: []byte(strconv.Itoa(len(r.Body)))}) }},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Flush(patience(t)); err != nil {
		t.Fatal(err)
	}
	got, err := connect(bus.RoleMapper).Request(patience(t), wire.VerbSave, wire.Message{Body: make([]byte, 20<<20)})
	if err != nil || string(got.Body) != strconv.Itoa(20<<20) {
		t.Errorf("got %q, %v", got.Body, err)
	}
}

// TestPending: what waits for a handler may be more than NATS's usual 64 MiB.
func TestPending(t *testing.T) {
	t.Parallel()
	const messages = 100
	n := &network{t: t, url: startServer(t, leafOptions(1<<20)).ClientURL()}
	saver, mapper := n.connect(bus.RoleSaver), n.connect(bus.RoleMapper)
	release, handled := make(chan struct{}), make(chan struct{}, messages)
	_, err := saver.Serve(bus.Service{Name: "saver", Version: "1.0.0", Endpoints: []bus.Endpoint{
		{Verb: wire.VerbSave, Handle: func(*bus.Request) { <-release; handled <- struct{}{} }},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := saver.Flush(patience(t)); err != nil {
		t.Fatal(err)
	}
	result := wire.Message{Body: make([]byte, 1<<20-100)}
	for i := range messages {
		if err := mapper.Publish(wire.VerbSave, result); err != nil {
			t.Fatal(err)
		}
		if (i+1)%10 > 0 {
			continue
		}
		// Now ten more have arrived. More than 64 MiB on their way would make the server
		// disconnect a saver that is slow to read.
		for _, b := range []*bus.Bus{mapper, saver} {
			if err := b.Flush(patience(t)); err != nil {
				t.Fatal(err)
			}
		}
	}
	close(release)
	if stats := saver.Stats(); stats.SlowConsumers != 0 || stats.AsyncErrors != 0 {
		t.Errorf("counts %+v", stats)
	}
	enough := patience(t)
	for range messages {
		select {
		case <-handled:
		case <-enough.Done():
			t.Fatal("messages were lost")
		}
	}
}
