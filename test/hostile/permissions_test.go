//go:build long

package hostile

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/chunkline/chunkline/internal/wire"
	"github.com/chunkline/chunkline/test/proc"
)

// may is the table of docs/protocol.md, "Permissions", for the job "hostile".
// A subject that begins with a dot is below chunkline.hostile.
var may = map[string][2]string{
	"fetcher": {
		".sync .save .mapper.* .hello .part.* _INBOX_M.> _INBOX_S.> _INBOX_O.>",
		".next .beat .saved .status .control .part.* _INBOX_F.> $SRV.>",
	},
	"mapper":   {".next .beat .save .part.* _INBOX_F.>", ".mapper.* .hello _INBOX_M.>"},
	"saver":    {".saved .part.* _INBOX_M.> _INBOX_F.> _INBOX_O.>", "QUEUE .part.* _INBOX_S.> $SRV.>"},
	"operator": {".status .control .part.* $SRV.>", "_INBOX_O.>"},
}

func list(subjects string) string {
	subjects = strings.ReplaceAll(" "+subjects, "QUEUE", ".save saver|.sync saver")
	var all []string
	for s := range strings.FieldsSeq(strings.ReplaceAll(subjects, " saver", "~saver")) {
		for s := range strings.SplitSeq(s, "|") {
			if s[0] == '.' {
				s = "chunkline.hostile" + s
			}
			all = append(all, fmt.Sprintf("%q", strings.ReplaceAll(s, "~", " ")))
		}
	}
	return "[" + strings.Join(all, ", ") + "]"
}

// policedJob starts a job on a server that restricts each role to its permissions;
// the attacker has a mapper's.
func policedJob(t *testing.T, users int) *job {
	t.Helper()
	j := &job{Job: proc.NewJob(t, "hostile"), settings: map[string][]string{}}
	j.Users(users)
	var text strings.Builder
	fmt.Fprintln(&text, "authorization { users = [")
	for role, subjects := range may {
		fmt.Fprintf(&text, "{ user: %s, password: pw, permissions: { publish: { allow: %s }, subscribe: { allow: %s } } }\n",
			role, list(subjects[0]), list(subjects[1]))
	}
	fmt.Fprintln(&text, "] }")
	config := filepath.Join(j.Dir, "nats.conf")
	if err := os.WriteFile(config, []byte(text.String()), 0o666); err != nil {
		t.Fatal(err)
	}
	j.NATS("-c", config)
	for _, role := range []string{"fetcher", "mapper", "saver"} {
		j.settings[role] = []string{"NATS_USER=" + role, "NATS_PASSWORD=pw"}
	}
	j.attacker = newAttacker(t, j.URL, j.Name, nats.UserInfo("mapper", "pw"), nats.CustomInboxPrefix("_INBOX_M.attacker"))
	return j
}

// TestMapperCredentials: with a mapper's credentials the attacker cannot stop,
// take over, pause or drain, cannot read keys or the requests of others, and cannot
// make a role publish to a subject of its choice.
func TestMapperCredentials(t *testing.T) {
	t.Parallel()
	j := policedJob(t, 3000)
	denied := make(chan string, 1000)
	j.nc.SetErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
		if errors.Is(err, nats.ErrPermissionViolation) {
			denied <- err.Error()
		}
	})
	j.saver()
	fetcher := j.fetcher()
	work := j.lease() // a mapper's requests are allowed
	mapper := j.mapper("mapper", "users?duration=200ms", "WORKERS=2")

	wantDenied := func(what string) {
		t.Helper()
		select {
		case err := <-denied:
			if !strings.Contains(err, what) {
				t.Errorf("denied %s, want %s", err, what)
			}
		case <-time.After(proc.Patience):
			t.Errorf("%s was allowed, want it denied", what)
		}
	}
	for verb, m := range map[string]wire.Message{
		wire.VerbSync:            wire.Sync{Op: wire.SyncClaim, Fetcher: "attacker", Claim: nil}.Encode(),
		wire.VerbControl:         wire.Control{Action: wire.ControlCancel}.Encode(),
		wire.VerbStatus:          wire.StatusQuery{}.Encode(),
		wire.VerbHello:           wire.Hello{Plan: work.Plan, Epoch: 1 << 62}.Encode(),
		wire.VerbSaved:           wire.Saved{Plan: work.Plan, Epoch: 1}.Encode(make([]byte, 32)),
		wire.VerbMapper("other"): wire.Order{Plan: work.Plan, Kind: wire.OrderDrain}.Encode(),
	} {
		j.say(j.message(verb, m))
		wantDenied(j.subject(verb))
	}
	for _, subject := range []string{"$SRV.PING", "_INBOX_M.other.1", "_INBOX_S.other.1", "_INBOX_O.other.1", "$SYS.REQ.SERVER.PING"} {
		j.say(nats.NewMsg(subject))
		wantDenied(subject)
	}
	for _, subject := range []string{
		">", "chunkline.>", "_INBOX.>", "_INBOX_F.>", "_INBOX_S.>", "$SYS.>",
		j.subject(wire.VerbSync), j.subject(wire.VerbSave), j.subject(wire.VerbNext), j.subject(wire.VerbSaved), j.subject("part.*"),
	} {
		if _, err := j.nc.SubscribeSync(subject); err != nil {
			t.Fatal(err)
		}
		j.say()
		wantDenied(fmt.Sprintf("%q", subject))
	}

	// Reflection: a role that may not publish to the reply subject goes on running. A reply
	// subject that it may publish to is an inbox, which ignores the answer.
	for _, reply := range []string{"_INBOX_M.x.1", "_INBOX_F.x.1", "_INBOX_O.x.1", "_INBOX.x", j.subject(wire.VerbSync), j.subject("part.x")} {
		m := j.message(wire.VerbSave, wire.Message{Header: wire.Header{"Chunkline-Protocol": wire.Protocol}})
		m.Reply = reply
		j.say(m)
		m = j.message(wire.VerbNext, wire.Message{Header: wire.Header{"Chunkline-Protocol": wire.Protocol}})
		m.Reply = reply
		j.say(m)
	}
	if got := j.save(j.result(work).Encode()); got.Of(0) != wire.SaveCommitted && got.Of(0) != wire.SaveDuplicate {
		t.Errorf("a mapper's result: %s %s, want committed", got.Statuses, got.Reason)
	}
	j.end(fetcher)
	for _, word := range []string{"taken over", "cancel", "drain"} {
		if strings.Contains(fetcher.Log()+mapper.Log(), word) {
			t.Errorf("the attacker had an effect: %s\n%s", fetcher.Tail(), mapper.Tail())
		}
	}
}

// TestDiscovery: NATS's own discovery answers to any reply subject. An operator,
// who may send such requests, cannot end a role with a reply subject that the role
// may not publish to.
func TestDiscovery(t *testing.T) {
	t.Parallel()
	j := policedJob(t, 2000)
	j.saver()
	fetcher := j.fetcher()
	operator := newAttacker(t, j.URL, j.Name, nats.UserInfo("operator", "pw"), nats.CustomInboxPrefix("_INBOX_O.attacker"))
	for _, reply := range []string{j.subject(wire.VerbControl), j.subject(wire.VerbNext), j.subject(wire.VerbBeat), "$SYS.x", "other"} {
		for _, subject := range []string{"$SRV.PING", "$SRV.INFO", "$SRV.STATS.chunkline-saver"} {
			operator.say(&nats.Msg{Subject: subject, Reply: reply})
		}
	}
	j.mapper("mapper", "users?duration=50ms")
	j.end(fetcher)
}
