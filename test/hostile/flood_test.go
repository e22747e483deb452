//go:build long

package hostile

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/internal/wire"
)

const (
	floodMessages = 10_000 // to each subject
	floodForged   = 20_000 // mappers that do not exist
	floodAnnounce = 2_000  // transfers of 1 GiB that never continue
	floodLists    = 60     // messages of 200 bytes that list 65,536 pieces and requests
	floodHeaders  = 1_000  // transfers with headers of 500 KiB
)

// TestFlood: ten thousand small messages to each subject, whose answers have
// no receiver, neither end a role nor make it grow.
func TestFlood(t *testing.T) {
	t.Parallel()
	j, fetcher, _ := busy(t, 3000, time.Second)
	j.control(wire.ControlPause) // the flood comes in the middle of the job
	j.deaf()
	beat := j.lastBeat()
	verbs := []string{
		wire.VerbNext, wire.VerbBeat, wire.VerbSave, wire.VerbSync, wire.VerbSaved, wire.VerbStatus, wire.VerbControl, wire.VerbHello,
		wire.VerbMapper(beat.Mapper.ID), "part." + j.partSubject(),
	}
	for i, verb := range verbs {
		m := j.message(verb, wire.Message{Header: wire.Header{"Chunkline-Protocol": wire.Protocol}, Body: []byte("flood")})
		for k := range floodMessages {
			m.Reply = fmt.Sprintf("_INBOX_Y.%d.%d", i, k) // without a subscriber
			j.shout(m)
		}
	}
	for range floodMessages {
		j.shout(&nats.Msg{Subject: "$SRV.PING", Reply: "_INBOX_Y.ping"})
	}
	j.say()
	j.control(wire.ControlResume)
	j.finish(fetcher)
	for _, p := range j.roles {
		if size := len(p.Log()); size > 1<<20 {
			t.Errorf("%s logged %d KiB about the flood, want less than 1 MiB", p.Label, size>>10)
		}
	}
}

// TestFloodMappers: heartbeats of thousands of mappers that do not exist, and lists
// as long as the protocol allows, in messages of 200 bytes.
func TestFloodMappers(t *testing.T) {
	t.Parallel()
	j, fetcher, mapper := busy(t, 3000, time.Second)
	j.control(wire.ControlPause) // the flood comes in the middle of the job
	j.deaf()
	plan := j.lastBeat().Plan
	all := wholeChunks(1 << 16)
	asking := make([]uint64, 1<<16)
	for i := range asking {
		asking[i] = uint64(i + 1000)
	}
	for i := range floodForged {
		b := wire.Beat{Plan: plan, Mapper: report.Mapper{ID: fmt.Sprint("forged-", i)}, Holding: wire.Holding{Seq: 1, Held: all[i%30 : i%30+1]}}
		j.shout(j.message(wire.VerbBeat, b.Encode()))
	}
	for i := range uint64(floodLists) {
		n := wire.Next{Plan: plan, Mapper: self, Holding: wire.Holding{Seq: 1000 + i, Held: all, Asking: asking}, Wait: 1e9}
		if i%2 == 1 {
			n.Held = nil // all lost again
		}
		m := j.message(wire.VerbNext, n.Encode())
		m.Reply = "_INBOX_Y.next"
		j.shout(m)
	}
	j.say()
	// Chunks of mappers that vanished are mapped object by object, and the slow mapper
	// would take a second for each object.
	j.retire(mapper)
	j.control(wire.ControlResume)
	j.finish(fetcher)
}

// TestFloodParts: a role bounds the announcements and headers of transfers that
// it keeps.
func TestFloodParts(t *testing.T) {
	t.Parallel()
	j, fetcher, _ := busy(t, 3000, time.Second)
	j.control(wire.ControlPause) // the flood comes in the middle of the job
	j.deaf()
	first := func(verb, id string, total, body int) *nats.Msg {
		m := j.message(verb, wire.Message{Body: make([]byte, body), Header: wire.Header{
			"Chunkline-Protocol": wire.Protocol, "Chunkline-Part": "first", "Chunkline-Part-Id": id,
			"Chunkline-Part-Total": fmt.Sprint(total), "Chunkline-Part-Size": "256", "Chunkline-Part-Sum": sum(make([]byte, total%1000)),
		}})
		m.Reply = "_INBOX_Y.parts"
		return m
	}
	long := strings.Repeat("x", 500<<10)
	for i := range floodHeaders {
		for _, verb := range []string{wire.VerbNext, wire.VerbSave} {
			m := first(verb, fmt.Sprint("h", i), 2, 1)
			m.Header.Set("X-Long", long)
			j.shout(m)
		}
	}
	for i := range floodAnnounce {
		j.shout(first(wire.VerbNext, fmt.Sprint("n", i), 1<<30, 10), first(wire.VerbSave, fmt.Sprint("s", i), 1<<30, 10))
	}
	j.say()
	j.control(wire.ControlResume)
	j.finish(fetcher)
}

// partSubject returns the subject on which the saver receives parts. The saver answers
// any first part with it.
func (j *job) partSubject() string {
	j.t.Helper()
	answer := j.ask(wire.VerbSave, wire.Message{Body: []byte("x"), Header: wire.Header{
		"Chunkline-Protocol": wire.Protocol, "Chunkline-Part": "first", "Chunkline-Part-Id": "probe",
		"Chunkline-Part-Total": "2", "Chunkline-Part-Size": "256", "Chunkline-Part-Sum": "00000000",
	}})
	return answer.Header["Chunkline-Part-At"]
}

// shout publishes messages without a flush.
func (a *attacker) shout(messages ...*nats.Msg) {
	a.t.Helper()
	for _, m := range messages {
		if err := a.nc.PublishMsg(m); err != nil {
			a.t.Fatalf("publish %s: %v", m.Subject, err)
		}
	}
}

// control sends an operator's order.
func (j *job) control(action wire.ControlAction) {
	j.t.Helper()
	answer, err := wire.DecodeControlAnswer(j.ask(wire.VerbControl, wire.Control{Action: action}.Encode()))
	if err != nil || !answer.OK {
		j.t.Fatalf("%s: %+v, %v", action, answer, err)
	}
}

// deaf stops recording. During a flood the server would disconnect the attacker as a slow consumer.
func (a *attacker) deaf() {
	a.t.Helper()
	if err := a.all.Unsubscribe(); err != nil {
		a.t.Fatal(err)
	}
}
