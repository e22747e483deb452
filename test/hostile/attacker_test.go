//go:build long

package hostile

import (
	"fmt"
	"hash/crc32"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/internal/transform"
	"github.com/chunkline/chunkline/internal/wire"
	"github.com/chunkline/chunkline/test/proc"
)

// attacker is a plain NATS client that can record every message.
type attacker struct {
	t   *testing.T
	nc  *nats.Conn
	job string
	seq uint64
	all *nats.Subscription // to all subjects

	mu    sync.Mutex
	heard []*nats.Msg // guarded by mu
	echo  bool        // guarded by mu; republish each message at once
}

// mark is a header of every message that the attacker sends, so that it can ignore its own.
const mark = "X-Attacker"

func newAttacker(t *testing.T, url, job string, options ...nats.Option) *attacker {
	t.Helper()
	a := &attacker{t: t, job: job}
	defaults := []nats.Option{nats.CustomInboxPrefix("_INBOX_X"), nats.MaxReconnects(-1), nats.ReconnectWait(50 * time.Millisecond)}
	options = append(defaults, options...)
	proc.Eventually(t, "nats-server", func() (up bool) {
		var err error
		a.nc, err = nats.Connect(url, options...)
		return err == nil
	})
	t.Cleanup(a.nc.Close)
	return a
}

// listen records everything on the bus from now on.
func (a *attacker) listen() {
	a.t.Helper()
	sub, err := a.nc.Subscribe(">", a.hear)
	if err == nil {
		err = sub.SetPendingLimits(-1, -1)
	}
	if err == nil {
		err = a.nc.Flush()
	}
	if err != nil {
		a.t.Fatal(err)
	}
	a.all = sub
}

func (a *attacker) hear(m *nats.Msg) {
	if m.Header.Get(mark) != "" || strings.HasPrefix(m.Subject, "_INBOX_X") {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.heard = append(a.heard, m)
	if a.echo {
		_ = a.nc.PublishMsg(marked(m))
	}
}

// marked returns a copy of a message with the attacker's mark.
func marked(m *nats.Msg) *nats.Msg {
	c := nats.NewMsg(m.Subject)
	c.Reply, c.Data = m.Reply, slices.Clone(m.Data)
	maps.Copy(c.Header, m.Header)
	c.Header.Set(mark, "1")
	return c
}

// record returns the recorded messages that match; with a nil match, all of them.
func (a *attacker) record(match func(*nats.Msg) bool) []*nats.Msg {
	a.mu.Lock()
	defer a.mu.Unlock()
	var found []*nats.Msg
	for _, m := range a.heard {
		if match == nil || match(m) {
			found = append(found, m)
		}
	}
	return found
}

func (a *attacker) subject(verb string) string { return "chunkline." + a.job + "." + verb }

func (a *attacker) on(verb string) func(*nats.Msg) bool {
	return func(m *nats.Msg) bool { return m.Subject == a.subject(verb) }
}

// await returns the first recorded message on a verb's subject, and waits for it if necessary.
func (a *attacker) await(verb string) *nats.Msg {
	a.t.Helper()
	return a.awaitAny(verb, a.on(verb))
}

func (a *attacker) awaitAny(what string, match func(*nats.Msg) bool) *nats.Msg {
	a.t.Helper()
	var found []*nats.Msg
	proc.Eventually(a.t, "a message: "+what, func() bool { found = a.record(match); return len(found) > 0 })
	return found[0]
}

// message converts a wire message to a NATS message with the attacker's mark.
func (a *attacker) message(verb string, m wire.Message) *nats.Msg {
	c := nats.NewMsg(a.subject(verb))
	c.Data = m.Body
	for key, value := range m.Header {
		c.Header.Set(key, value)
	}
	c.Header.Set(mark, "1")
	return c
}

func (a *attacker) say(messages ...*nats.Msg) {
	a.t.Helper()
	for _, m := range messages {
		if err := a.nc.PublishMsg(m); err != nil {
			a.t.Fatalf("publish %s: %v", m.Subject, err)
		}
	}
	if err := a.nc.FlushTimeout(proc.Patience); err != nil {
		a.t.Fatal(err)
	}
}

// ask sends a request and repeats it until it is answered. The server drops a request that comes before the role's
// subscription, and reports that only if the attacker itself has not subscribed to everything.
func (a *attacker) ask(verb string, m wire.Message) wire.Message {
	a.t.Helper()
	var got *nats.Msg
	proc.Eventually(a.t, "an answer to "+verb, func() bool {
		var err error
		got, err = a.nc.RequestMsg(a.message(verb, m), answerWait)
		return err == nil
	})
	answer := wire.Message{Header: wire.Header{}, Body: got.Data}
	for key, values := range got.Header {
		answer.Header[key] = values[0]
	}
	return answer
}

// self is the attacker as a mapper.
var self = report.Mapper{ID: "ATTACKER", Name: "attacker", Transform: "harm"}

const (
	// leaseWait is how long the attacker waits for work.
	leaseWait = time.Minute

	// answerWait is how long ask waits before it repeats a request.
	answerWait = 10 * time.Second

	// chunkPace is the pace of a mapper whose grant is one whole chunk: 25 ms for 100 objects.
	chunkPace = 250 * time.Microsecond
)

// lease requests a chunk as a mapper does. On an open bus any client can.
func (a *attacker) lease() wire.Work {
	a.t.Helper()
	return a.leaseAt(chunkPace)
}

// leaseAt requests a grant as a mapper of that pace does. The attacker lists no piece as held.
func (a *attacker) leaseAt(pace time.Duration) wire.Work {
	a.t.Helper()
	a.seq++
	n := wire.Next{Mapper: self, Holding: wire.Holding{Seq: a.seq, Asking: []uint64{a.seq}}, Wait: leaseWait, Pace: pace}
	work, err := wire.DecodeWork(a.ask(wire.VerbNext, n.Encode()))
	if err != nil || work.Status != wire.WorkGrant {
		a.t.Fatalf("asked for work, got %s %s, %v", work.Status, work.Reason, err)
	}
	return work
}

// result returns the correct results of a grant.
func (a *attacker) result(w wire.Work) wire.Save {
	a.t.Helper()
	spec, err := transform.Parse("users")
	if err != nil {
		a.t.Fatal(err)
	}
	mapping, err := spec.New()
	if err != nil {
		a.t.Fatal(err)
	}
	s := wire.Save{Plan: w.Plan, Epoch: w.Epoch, Mapper: self}
	for _, g := range w.Grant {
		r := wire.Result{
			Chunk: g.Chunk.ID, From: g.From, Of: g.Of, First: g.Chunk.First, Objects: g.Chunk.Count, Attempt: g.Attempt,
			Digest: g.Digest, Token: g.Token,
		}
		for _, object := range chunk.Objects(g.Chunk.Body) {
			if r.Outputs, err = mapping.Map(a.t.Context(), object, r.Outputs); err != nil {
				a.t.Fatal(err)
			}
			r.Counts = append(r.Counts, 1)
		}
		s.Results = append(s.Results, r)
	}
	return s
}

// save sends a result and returns the saver's answer.
func (a *attacker) save(m wire.Message) wire.SaveAnswer {
	a.t.Helper()
	answer, err := wire.DecodeSaveAnswer(a.ask(wire.VerbSave, m))
	if err != nil {
		a.t.Fatal(err)
	}
	return answer
}

// tick is the pause between two polls.
func tick() <-chan time.Time { return time.After(20 * time.Millisecond) }

// sum returns the checksum of a body in the form of the Chunkline-Sum header.
func sum(body []byte) string {
	return fmt.Sprintf("%08x", crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)))
}
