package bus_test

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
)

// deeds is what a client can do with a subject.
var deeds = []struct {
	name string
	do   func(*nats.Conn, string) error
}{
	{"publish", func(nc *nats.Conn, subject string) error { return nc.Publish(subject, nil) }},
	{"subscribe", func(nc *nats.Conn, subject string) error { return listen(nc, subject, "") }},
	{"subscribe in group saver", func(nc *nats.Conn, subject string) error { return listen(nc, subject, "saver") }},
	{"subscribe in group thief", func(nc *nats.Conn, subject string) error { return listen(nc, subject, "thief") }},
}

func listen(nc *nats.Conn, subject, queue string) error {
	_, err := nc.QueueSubscribe(subject, queue, func(*nats.Msg) {}) // an empty queue is none; Close ends it
	return err
}

// matrix lists the roles that may do an operation on a subject, by their first
// letters: publish, subscribe, subscribe in the queue group saver, in another one.
// The other roles may not.
var matrix = []struct{ subject, publish, subscribe, saver, otherGroup string }{
	{"chunkline.perm.next", "m", "f", "f", "f"},
	{"chunkline.perm.beat", "m", "f", "f", "f"},
	{"chunkline.perm.save", "mf", "", "s", ""},
	{"chunkline.perm.saved", "s", "f", "f", "f"},
	{"chunkline.perm.sync", "f", "", "s", ""},
	{"chunkline.perm.status", "o", "f", "f", "f"},
	{"chunkline.perm.control", "o", "f", "f", "f"},
	{"chunkline.perm.mapper.ID", "f", "m", "m", "m"},
	{"chunkline.perm.hello", "f", "m", "m", "m"},
	{"chunkline.perm.part.ID", "fmso", "fs", "fs", "fs"},
	{"chunkline.other.next", "m", "f", "f", "f"}, // any job
	{"chunkline.other.sync", "f", "", "s", ""},
	{"_INBOX_F.ID.token", "ms", "f", "f", "f"},
	{"_INBOX_M.ID.token", "fs", "m", "m", "m"},
	{"_INBOX_S.ID.token", "f", "s", "s", "s"},
	{"_INBOX_O.ID.token", "fs", "o", "o", "o"},
	{"$SRV.PING", "o", "fs", "fs", "fs"},
	{"$SRV.INFO.chunkline-saver.ID", "o", "fs", "fs", "fs"},

	// What no user may do.
	{"_INBOX.ID.token", "", "", "", ""},
	{"_INBOX_X.ID", "", "", "", ""},
	{"_INBOX_F", "", "", "", ""},
	{"_R_.reply", "", "", "", ""},
	{"$SYS.REQ.USER.INFO", "", "", "", ""},
	{"$SYS.REQ.SERVER.PING", "", "", "", ""},
	{"$SYS.>", "", "", "", ""},
	{"$JS.API.INFO", "", "", "", ""},
	{"$JS.API.>", "", "", "", ""},
	{"$KV.bucket.key", "", "", "", ""},
	{"$SRV", "", "", "", ""},
	{"chunkline", "", "", "", ""},
	{"chunkline.perm", "", "", "", ""},
	{"chunkline.perm.other", "", "", "", ""},
	{"chunkline.perm.next.more", "", "", "", ""},
	{"chunkline.perm.mapper", "", "", "", ""},
	{"chunkline.perm.mapper.ID.more", "", "", "", ""},
	{"chunkline.perm.part.ID.more", "", "", "", ""},
	{"foreign", "", "", "", ""},
	{"foreign.perm.next", "", "", "", ""},

	// Wildcards. To listen to part of what one may hear is allowed, to more is
	// not; a publisher's star is a star.
	{"chunkline.*.next", "m", "f", "f", "f"},
	{"chunkline.*.save", "mf", "", "s", ""},
	{"chunkline.*.mapper.*", "f", "m", "m", "m"},
	{"$SRV.>", "o", "fs", "fs", "fs"},
	{"chunkline.perm.*", "", "", "", ""},
	{"chunkline.perm.>", "", "", "", ""},
	{"chunkline.>", "", "", "", ""},
	{"_INBOX.>", "", "", "", ""},
	{"*.ID.token", "", "", "", ""},
	{"*", "", "", "", ""},
	{">", "", "", "", ""},
}

// TestPermissions_matrix: each role can do with each subject what the table
// says, and nothing else, on a server as it is shipped.
func TestPermissions_matrix(t *testing.T) {
	t.Parallel()
	s := start(t, load(t, shipped))
	for role := range passwords {
		nc := dial(t, s.ClientURL(), string(role), passwords[role])
		for _, row := range matrix {
			for i, roles := range []string{row.publish, row.subscribe, row.saver, row.otherGroup} {
				want := strings.Contains(roles, string(role[:1]))
				if err := deeds[i].do(nc, row.subject); err != nil {
					t.Fatalf("%s: %s %s: %v", role, deeds[i].name, row.subject, err)
				}
				if err := nc.FlushWithContext(patience(t)); err != nil { // by then the server has complained
					t.Fatal(err)
				}
				if got := !complained(nc, deeds[i].name, row.subject); got != want {
					t.Errorf("%s may %s %s: %t, want %t", role, deeds[i].name, row.subject, got, want)
				}
			}
		}
	}
}

// complained says whether the last that the server denied was this deed. No
// deed comes twice on a connection.
func complained(nc *nats.Conn, deed, subject string) bool {
	what := fmt.Sprintf("Publish to %q", subject)
	if deed != "publish" {
		what = fmt.Sprintf("Subscription to %q", subject)
		if _, queue, grouped := strings.Cut(deed, "group "); grouped {
			what += fmt.Sprintf(" using queue %q", queue)
		}
	}
	err := nc.LastError()
	return errors.Is(err, nats.ErrPermissionViolation) && strings.HasSuffix(err.Error(), what)
}

func dial(t *testing.T, url, user, password string, more ...nats.Option) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(url, append(more, nats.UserInfo(user, password), nats.Timeout(long), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// TestPermissions_documented: the table of docs/protocol.md and the shipped
// configuration say the same, to the last subject.
func TestPermissions_documented(t *testing.T) {
	t.Parallel()
	options := load(t, shipped)
	page, err := os.ReadFile("../../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "\n## Permissions\n")
	section, _, _ = strings.Cut(section, "\n### ")
	documented := map[string][2][]string{}
	for line := range strings.Lines(section) {
		if cells := strings.Split(line, "|"); len(cells) == 5 && strings.Contains(line, "`") {
			documented[strings.TrimSpace(cells[1])] = [2][]string{subjects(cells[2]), subjects(cells[3])}
		}
	}
	if len(documented) != 4 || len(options.Users) != 4 {
		t.Fatalf("%d roles are documented and %d configured, want 4", len(documented), len(options.Users))
	}
	for _, user := range options.Users {
		may := user.Permissions
		if may == nil || may.Publish == nil || may.Subscribe == nil || may.Response != nil {
			t.Errorf("%s: permissions %+v, want lists and no allow_responses", user.Username, may)
			continue
		}
		for i, allowed := range [][]string{may.Publish.Allow, may.Subscribe.Allow} {
			if want := documented[user.Username][i]; !slices.Equal(slices.Sorted(slices.Values(allowed)), want) {
				t.Errorf("%s, publish and subscribe at %d: configured %q, documented %q", user.Username, i, allowed, want)
			}
		}
	}
	if options.NoAuthUser != "" || len(options.Accounts) > 0 || len(options.Nkeys) > 0 || options.JetStream || options.ProfPort != 0 ||
		options.Websocket.Port != 0 || options.MQTT.Port != 0 || options.LeafNode.Port != 0 || options.Gateway.Port != 0 {
		t.Error("there is another login or service beside the four users")
	}
}

// subjects are those of a cell of the table, as the configuration has them.
// One that begins with a dot is below any job.
func subjects(cell string) []string {
	var all []string
	for i, subject := range strings.Split(cell, "`") {
		if i%2 == 0 {
			continue
		}
		subject = strings.Replace(subject, "chunkline.<job>", "", 1)
		if subject[0] == '.' {
			subject = "chunkline.*" + subject
		}
		all = append(all, subject)
	}
	slices.Sort(all)
	return all
}

// TestPermissions_login: each role needs its own password, and there is no way in
// without a user.
func TestPermissions_login(t *testing.T) {
	t.Parallel()
	url := start(t, load(t, shipped)).ClientURL()
	stranger := map[string][]nats.Option{"nobody": nil, "a token": {nats.Token(canary)}, "another user": {nats.UserInfo("admin", canary)}}
	for role := range passwords {
		stranger[string(role)+" without a password"] = []nats.Option{nats.UserInfo(string(role), "")}
		for other, password := range passwords {
			if other != role {
				stranger[string(role)+" as "+string(other)] = []nats.Option{nats.UserInfo(string(role), password)}
			}
		}
	}
	for who, options := range stranger {
		nc, err := nats.Connect(url, append(options, nats.Timeout(long))...)
		if !errors.Is(err, nats.ErrAuthorization) {
			t.Errorf("%s: error %v, want %v", who, err, nats.ErrAuthorization)
		}
		if err == nil {
			nc.Close()
		}
	}
	for role, password := range passwords {
		if nc := dial(t, url, string(role), password); !nc.IsConnected() {
			t.Errorf("%s cannot connect", role)
		}
	}
}
