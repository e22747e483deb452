package bus_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/rs/zerolog"

	"github.com/chunkline/chunkline/internal/bus"
	"github.com/chunkline/chunkline/internal/wire"
)

// shipped is the configuration that users get.
const shipped = "../../deploy/parts/nats/nats.conf"

// shippedEnv is the environment that the shipped configurations read; TestMain
// sets it.
var shippedEnv = map[string]string{
	"NATS_FETCHER_PASSWORD": passwords[bus.RoleFetcher], "NATS_MAPPER_PASSWORD": passwords[bus.RoleMapper],
	"NATS_SAVER_PASSWORD": passwords[bus.RoleSaver], "NATS_OPERATOR_PASSWORD": "'" + passwords[bus.RoleOperator] + "'",
	"POD_NAME": "nats-0", "NATS_ROUTE_PASSWORD": canary,
	"NATS_ROUTE_0": "nats://route:" + canary + "@nats-0.nats:6222",
	"NATS_ROUTE_1": "nats://route:" + canary + "@nats-1.nats:6222",
	"NATS_ROUTE_2": "nats://route:" + canary + "@nats-2.nats:6222",
}

// passwords differ, so that none lets in another role. The operator's is one
// that NATS takes for a number unless it is quoted.
var passwords = map[bus.Role]string{
	bus.RoleFetcher: canary + "-f", bus.RoleMapper: canary + "-m", bus.RoleSaver: canary + "-s", bus.RoleOperator: "12345",
}

// load reads a configuration as nats-server -c does.
func load(t *testing.T, path string) *server.Options {
	t.Helper()
	options, err := server.ProcessConfigFile(path)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return options
}

// start starts a server that differs from the shipped one in where it listens, and in its patience.
func start(t *testing.T, options *server.Options) *server.Server {
	t.Helper()
	options.Host, options.Port = "127.0.0.1", server.RANDOM_PORT
	options.HTTPHost, options.HTTPPort = "127.0.0.1", server.RANDOM_PORT
	options.NoSigs, options.NoLog = true, true
	return startServer(t, options)
}

// policed starts a server as it is shipped, with a user for each role.
func policed(t *testing.T) (connect func(bus.Role) *bus.Bus) {
	t.Helper()
	return at(t, start(t, load(t, shipped)), zerolog.Nop())
}

// at connects roles to a server.
func at(t *testing.T, s *server.Server, log zerolog.Logger) (connect func(bus.Role) *bus.Bus) {
	t.Helper()
	return func(role bus.Role) *bus.Bus {
		cfg := bus.Config{URL: s.ClientURL(), User: string(role), Password: passwords[role]}
		b, err := bus.Connect(cfg, bus.Patient(bus.Options{Job: "perm", Role: role, Log: log}))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(b.Close)
		if err := b.WaitOnline(patience(t)); err != nil {
			t.Fatal(err)
		}
		return b
	}
}

// TestPermissions_suffice: with its permissions each role can do all its work,
// messages in parts included.
func TestPermissions_suffice(t *testing.T) {
	t.Parallel()
	connect := policed(t)
	all := map[bus.Role]*bus.Bus{}
	for role := range passwords {
		all[role] = connect(role)
	}
	mapper := wire.VerbMapper(all[bus.RoleMapper].ID())
	large := wire.Message{Body: make([]byte, 2<<20)}
	for _, s := range []struct {
		role   bus.Role
		queue  string
		hidden bool
		verbs  []string
	}{
		{bus.RoleFetcher, "", false, []string{wire.VerbNext, wire.VerbBeat, wire.VerbSaved, wire.VerbStatus, wire.VerbControl}},
		{bus.RoleSaver, "saver", false, []string{wire.VerbSave, wire.VerbSync}},
		{bus.RoleMapper, "", true, []string{mapper, wire.VerbHello}},
	} {
		service := bus.Service{Name: string(s.role), Version: "1.0.0", Hidden: s.hidden}
		for _, verb := range s.verbs {
			service.Endpoints = append(service.Endpoints, bus.Endpoint{Verb: verb, Queue: s.queue, Handle: func(r *bus.Request) {
				_ = r.Reply(wire.Message{Body: r.Body})
			}})
		}
		if _, err := all[s.role].Serve(service); err != nil {
			t.Fatal(err)
		}
		if err := all[s.role].Flush(patience(t)); err != nil {
			t.Fatal(err)
		}
	}
	for _, ask := range []struct {
		role    bus.Role
		verb    string
		message wire.Message
	}{
		{bus.RoleMapper, wire.VerbNext, large}, {bus.RoleMapper, wire.VerbSave, large}, {bus.RoleSaver, wire.VerbSaved, wire.Message{}},
		{bus.RoleFetcher, wire.VerbSync, large}, {bus.RoleFetcher, wire.VerbSave, large}, {bus.RoleFetcher, mapper, wire.Message{}},
		{bus.RoleOperator, wire.VerbStatus, large}, {bus.RoleOperator, wire.VerbControl, wire.Message{}},
	} {
		got, err := all[ask.role].Request(patience(t), ask.verb, ask.message)
		if err != nil || len(got.Body) != len(ask.message.Body) {
			t.Errorf("%s asks %s: got %d bytes, %v", ask.role, ask.verb, len(got.Body), err)
		}
	}
	if err := all[bus.RoleMapper].Publish(wire.VerbBeat, wire.Message{}); err != nil {
		t.Error(err)
	}
	if err := all[bus.RoleFetcher].Publish(wire.VerbHello, wire.Message{}); err != nil {
		t.Error(err)
	}
	for role, b := range all {
		if err := b.Flush(patience(t)); err != nil || b.Err() != nil {
			t.Errorf("%s: %v, %v", role, err, b.Err())
		}
	}
}

// TestPermissions_older: a server with permissions of before there was a hello denies it,
// and both roles go on without it.
func TestPermissions_older(t *testing.T) {
	t.Parallel()
	options := load(t, shipped)
	for _, user := range options.Users {
		for _, list := range []*[]string{&user.Permissions.Publish.Allow, &user.Permissions.Subscribe.Allow} {
			*list = slices.DeleteFunc(*list, func(subject string) bool { return strings.HasSuffix(subject, ".hello") })
		}
	}
	said := make(logLines, 100)
	connect := at(t, start(t, options), zerolog.New(said).Level(zerolog.WarnLevel))
	fetcher, mapper := connect(bus.RoleFetcher), connect(bus.RoleMapper)
	heard := make(chan struct{})
	_, err := mapper.Serve(bus.Service{Name: "mapper", Version: "1.0.0", Hidden: true, Endpoints: []bus.Endpoint{
		{Verb: wire.VerbMapper("m"), Handle: func(*bus.Request) { close(heard) }},
		{Verb: wire.VerbHello, Handle: func(*bus.Request) { t.Error("received a message that the server denies") }},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := mapper.Flush(patience(t)); err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{wire.VerbHello, wire.VerbMapper("m")} {
		if err := fetcher.Publish(verb, wire.Message{}); err != nil {
			t.Fatal(err)
		}
	}
	<-heard
	for range 2 { // nats.go tells of what was denied in a goroutine of its own
		select {
		case line := <-said:
			if !strings.Contains(line, "not allowed by the NATS server") {
				t.Errorf("got the log line %s, want none", line)
			}
		case <-fetcher.Closed():
		case <-mapper.Closed():
		case <-patience(t).Done():
			t.Fatal("the server denied nothing")
		}
	}
	for _, b := range []*bus.Bus{fetcher, mapper} {
		if err := b.Flush(patience(t)); err != nil || b.Err() != nil || b.Stats().AsyncErrors != 1 {
			t.Errorf("%v, %v, %d errors; want a connection with one denied operation", err, b.Err(), b.Stats().AsyncErrors)
		}
	}
}

// TestPermissions_bar: no role can speak for another.
func TestPermissions_bar(t *testing.T) {
	t.Parallel()
	connect := policed(t)
	for role, verbs := range map[bus.Role][]string{
		bus.RoleFetcher:  {wire.VerbNext, wire.VerbSaved},
		bus.RoleMapper:   {wire.VerbSaved, wire.VerbSync, wire.VerbControl, wire.VerbMapper("other")},
		bus.RoleSaver:    {wire.VerbSave, wire.VerbSync, wire.VerbNext, wire.VerbControl},
		bus.RoleOperator: {wire.VerbNext, wire.VerbSave, wire.VerbSaved, wire.VerbSync, wire.VerbBeat},
	} {
		for _, verb := range verbs {
			b := connect(role)
			if err := b.Publish(verb, wire.Message{}); err != nil {
				t.Fatal(err)
			}
			select {
			case <-b.Closed():
			case <-patience(t).Done():
				t.Fatalf("%s may publish %s, want it denied", role, verb)
			}
			if err := b.Err(); !errors.Is(err, bus.ErrDenied) || !strings.Contains(err.Error(), verb) {
				t.Errorf("%s publishes %s: error %v, want %v that names it", role, verb, err, bus.ErrDenied)
			}
		}
	}
}
