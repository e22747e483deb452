package bus_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/rs/zerolog"

	"github.com/chunkline/chunkline/internal/bus"
)

// matrix is the table of docs/protocol.md: what each role may publish to and
// subscribe to. A subject that begins with a dot is below chunkline.perm.
var matrix = map[bus.Role]struct{ publish, subscribe string }{
	bus.RoleFetcher: {
		".sync .save .mapper.* .part.* _INBOX_M.> _INBOX_S.> _INBOX_O.>",
		".next .beat .saved .status .control .part.* _INBOX_F.> $SRV.>",
	},
	bus.RoleMapper:   {".next .beat .save .part.* _INBOX_F.>", ".mapper.* _INBOX_M.>"},
	bus.RoleSaver:    {".saved .part.* _INBOX_M.> _INBOX_F.>", "QUEUED .part.* _INBOX_S.> $SRV.>"},
	bus.RoleOperator: {".status .control .part.* $SRV.>", "_INBOX_O.>"},
}

func subjects(list string) []string {
	var all []string
	for subject := range strings.FieldsSeq(list) {
		switch {
		case subject == "QUEUED":
			all = append(all, "chunkline.perm.save saver", "chunkline.perm.sync saver")
		case subject[0] == '.':
			all = append(all, "chunkline.perm"+subject)
		default:
			all = append(all, subject)
		}
	}
	return all
}

// policed starts a server that gives each role a user with its permissions.
func policed(t *testing.T) (connect func(bus.Role) *bus.Bus) {
	t.Helper()
	options := &server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true}
	for role, may := range matrix {
		options.Users = append(options.Users, &server.User{Username: string(role), Password: canary, Permissions: &server.Permissions{
			Publish:   &server.SubjectPermission{Allow: subjects(may.publish)},
			Subscribe: &server.SubjectPermission{Allow: subjects(may.subscribe)},
		}})
	}
	s, err := server.NewServer(options)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(time.Minute) {
		t.Fatal("server does not start")
	}
	return func(role bus.Role) *bus.Bus {
		cfg := bus.Config{URL: s.ClientURL(), User: string(role), Password: canary}
		b, err := bus.Connect(cfg, bus.Options{Job: "perm", Role: role, Log: zerolog.Nop()})
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
	for role := range matrix {
		all[role] = connect(role)
	}
	mapper := bus.VerbMapper(all[bus.RoleMapper].ID())
	large := bus.Message{Body: make([]byte, 2<<20)}
	for _, s := range []struct {
		role   bus.Role
		queue  string
		hidden bool
		verbs  []string
	}{
		{bus.RoleFetcher, "", false, []string{bus.VerbNext, bus.VerbBeat, bus.VerbSaved, bus.VerbStatus, bus.VerbControl}},
		{bus.RoleSaver, "saver", false, []string{bus.VerbSave, bus.VerbSync}},
		{bus.RoleMapper, "", true, []string{mapper}},
	} {
		service := bus.Service{Name: string(s.role), Version: "1.0.0", Hidden: s.hidden}
		for _, verb := range s.verbs {
			service.Endpoints = append(service.Endpoints, bus.Endpoint{Verb: verb, Queue: s.queue, Handle: func(r *bus.Request) {
				_ = r.Reply(bus.Message{Body: r.Body})
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
		message bus.Message
	}{
		{bus.RoleMapper, bus.VerbNext, large}, {bus.RoleMapper, bus.VerbSave, large}, {bus.RoleSaver, bus.VerbSaved, bus.Message{}},
		{bus.RoleFetcher, bus.VerbSync, large}, {bus.RoleFetcher, bus.VerbSave, large}, {bus.RoleFetcher, mapper, bus.Message{}},
		{bus.RoleOperator, bus.VerbStatus, large}, {bus.RoleOperator, bus.VerbControl, bus.Message{}},
	} {
		got, err := all[ask.role].Request(patience(t), ask.verb, ask.message)
		if err != nil || len(got.Body) != len(ask.message.Body) {
			t.Errorf("%s asks %s: got %d bytes, %v", ask.role, ask.verb, len(got.Body), err)
		}
	}
	if err := all[bus.RoleMapper].Publish(bus.VerbBeat, bus.Message{}); err != nil {
		t.Error(err)
	}
	for role, b := range all {
		if err := b.Flush(patience(t)); err != nil || b.Err() != nil {
			t.Errorf("%s: %v, %v", role, err, b.Err())
		}
	}
}

// TestPermissions_bar: no role can speak for another.
func TestPermissions_bar(t *testing.T) {
	t.Parallel()
	connect := policed(t)
	for role, verbs := range map[bus.Role][]string{
		bus.RoleFetcher:  {bus.VerbNext, bus.VerbSaved},
		bus.RoleMapper:   {bus.VerbSaved, bus.VerbSync, bus.VerbControl, bus.VerbMapper("other")},
		bus.RoleSaver:    {bus.VerbSave, bus.VerbSync, bus.VerbNext, bus.VerbControl},
		bus.RoleOperator: {bus.VerbNext, bus.VerbSave, bus.VerbSaved, bus.VerbSync, bus.VerbBeat},
	} {
		for _, verb := range verbs {
			b := connect(role)
			if err := b.Publish(verb, bus.Message{}); err != nil {
				t.Fatal(err)
			}
			<-b.Closed()
			if err := b.Err(); !errors.Is(err, bus.ErrDenied) || !strings.Contains(err.Error(), verb) {
				t.Errorf("%s publishes %s: error %v, want %v that names it", role, verb, err, bus.ErrDenied)
			}
		}
	}
}
