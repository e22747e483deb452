//go:build long

package hostile

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/wire"
	"github.com/chunkline/chunkline/test/proc"
)

// TestReplay: a job in which the attacker repeats every message at once, and then
// a job of another plan, in which the attacker replays all messages of the first,
// twice and shuffled.
func TestReplay(t *testing.T) {
	t.Parallel()
	first := newJob(t, 3000)
	first.mu.Lock()
	first.echo = true
	first.mu.Unlock()
	first.listen()
	saver := first.saver()
	fetcher := first.fetcher()
	mapper := first.mapper("mapper", "users?duration=20ms", "WORKERS=2")
	first.end(fetcher)

	second := &job{Job: proc.NewJob(t, first.Name), attacker: newAttacker(t, first.URL, first.Name)}
	second.URL, second.Source, second.Objects = first.URL, first.Source, first.Objects
	first.mu.Lock()
	first.echo = false
	first.mu.Unlock()
	mapper.Kill()
	saver.Kill()
	most := int(first.nc.MaxPayload()) - 100 // with the mark; a role that measures max_payload sends a message as large as that
	tape := first.record(func(m *nats.Msg) bool {
		return m.Size() < most && (strings.HasPrefix(m.Subject, "chunkline.") || strings.HasPrefix(m.Subject, "_INBOX"))
	})
	t.Logf("%d messages are played back", len(tape))
	second.saver()
	fetcher = second.fetcher("CHUNK_SIZE=30")
	second.mapper("mapper", "users?duration=40ms", "WORKERS=2")
	dice := rand.New(rand.NewPCG(1, 2))
	for range 2 {
		dice.Shuffle(len(tape), func(a, b int) { tape[a], tape[b] = tape[b], tape[a] })
		for _, m := range tape {
			second.say(marked(m))
		}
	}
	second.end(fetcher)
}

// TestReflection: no role publishes to a reply subject of the requester's choice,
// unless it is an inbox.
func TestReflection(t *testing.T) {
	t.Parallel()
	j, fetcher, _ := busy(t, 2000, 4*time.Second)
	j.control(wire.ControlPause) // so that the roles run until all is sent
	beat := j.lastBeat()         // before finish adds another mapper
	targets := []string{
		j.subject(wire.VerbSaved), j.subject(wire.VerbControl), j.subject(wire.VerbBeat), j.subject("part.x"),
		j.subject(wire.VerbMapper(beat.Mapper.ID)), "$SYS.REQ.SERVER.PING", "$JS.API.INFO", ">", "other",
	}
	verbs := map[string]wire.Message{
		wire.VerbNext:                   wire.Next{Mapper: self, Holding: wire.Holding{Seq: 1}}.Encode(),
		wire.VerbSave:                   {Header: wire.Header{"Chunkline-Protocol": wire.Protocol}},
		wire.VerbSync:                   wire.Sync{Op: wire.SyncList, Plan: beat.Plan, Fetcher: "x", Epoch: 1, Limit: 1}.Encode(),
		wire.VerbStatus:                 wire.StatusQuery{}.Encode(),
		wire.VerbControl:                wire.Control{Action: wire.ControlPause}.Encode(),
		wire.VerbMapper(beat.Mapper.ID): wire.Order{Plan: beat.Plan, Kind: wire.OrderPing}.Encode(),
	}
	for verb, message := range verbs {
		for _, target := range targets {
			m := j.message(verb, message)
			m.Reply = target
			j.say(m)
		}
		// even another role's inbox is answered: that role expects no such answer
		m := j.message(verb, message)
		m.Reply = "_INBOX_F.x." + verb
		j.say(m)
	}
	j.ask(wire.VerbStatus, wire.StatusQuery{}.Encode())
	j.control(wire.ControlResume)
	j.finish(fetcher)
	roles := map[string]bool{wire.VerbSaved: true, wire.VerbBeat: true, wire.VerbMapper(beat.Mapper.ID): true}
	for _, m := range j.record(nil) {
		for _, target := range targets {
			verb := strings.TrimPrefix(m.Subject, j.subject(""))
			if m.Subject == target && !roles[verb] {
				t.Errorf("a role published to the forged subject %s: %v", m.Subject, m.Header)
			}
		}
	}
	for verb := range roles { // to these subjects roles do publish, but no answers
		for _, m := range j.record(j.on(verb)) {
			if m.Header.Get("Chunkline-Status") != "" || strings.HasPrefix(string(m.Data), "{") {
				t.Errorf("a role answered to the forged subject %s: %v", m.Subject, m.Header)
			}
		}
	}
}

// TestMutations sends valid messages of each kind with every mutation of the
// function mutations; the job goes on as if nothing had been sent.
func TestMutations(t *testing.T) {
	t.Parallel()
	j := newJob(t, 3000)
	j.listen()
	j.saver()
	fetcher := j.fetcher()
	work := j.lease()
	result := j.result(work)
	shadow := result
	shadow.Shadow = true
	plan, piece := work.Plan, work.Grant[0].Piece()
	j.mapper("mapper", "users?duration=200ms", "WORKERS=1")
	j.await(wire.VerbSaved)
	beat := j.lastBeat()
	bases := []*nats.Msg{
		// In the attacker's own name, so that the fetcher does not ignore the real mapper.
		j.message(wire.VerbNext, wire.Next{Plan: plan, Mapper: self, Holding: wire.Holding{Seq: 9, Held: []chunk.Piece{piece}, Asking: []uint64{9}}}.Encode()),
		j.message(wire.VerbBeat, wire.Beat{Plan: plan, Mapper: self, Holding: wire.Holding{Seq: 9, Held: []chunk.Piece{piece}}, Doing: &wire.Doing{}}.Encode()),
		j.message(wire.VerbSave, result.Encode()),
		j.message(wire.VerbSync, wire.Sync{Op: wire.SyncList, Plan: plan, Fetcher: "x", Epoch: 1, Limit: 5}.Encode()),
		j.message(wire.VerbSync, wire.Sync{Op: wire.SyncList, Plan: plan, Fetcher: "x", Epoch: 1, Chunks: []chunk.ID{piece.Chunk}}.Encode()),
		j.message(wire.VerbSync, wire.Sync{Op: wire.SyncFinish, Plan: plan, Fetcher: "x", Epoch: 1, Total: wire.Totals{Chunks: 1}}.Encode()),
		j.message(wire.VerbSync, wire.Sync{Op: wire.SyncDead, Plan: plan, Fetcher: "x", Epoch: 1, From: 9, Limit: 5}.Encode()),
		j.message(wire.VerbSync, wire.Sync{Op: wire.SyncShadow, Plan: plan, Fetcher: "x", Epoch: 1}.Encode()),
		j.message(wire.VerbSave, shadow.Encode()),
		marked(j.await(wire.VerbSaved)),
		j.message(wire.VerbStatus, wire.StatusQuery{}.Encode()),
		j.message(wire.VerbControl, wire.Control{Action: wire.ControlResume}.Encode()),
		j.message(wire.VerbControl, wire.Control{Action: wire.ControlShare, Version: "other", Share: 0.5}.Encode()),
		j.message(wire.VerbControl, wire.Control{Action: wire.ControlShadow, Version: "other", Share: 0.5}.Encode()),
		j.message(wire.VerbControl, wire.Control{Action: wire.ControlAllow, Version: "other"}.Encode()),
		j.message(wire.VerbMapper(beat.Mapper.ID), wire.Order{Plan: plan, Kind: wire.OrderDrop, Piece: chunk.Whole(7, 100)}.Encode()),
	}
	at := "part." + j.partSubject()
	for verb, header := range map[string]wire.Header{
		wire.VerbSave: {"Chunkline-Part": "first", "Chunkline-Part-Total": "600", "Chunkline-Part-Size": "256", "Chunkline-Part-Sum": "00000000"},
		at:            {"Chunkline-Part": "put", "Chunkline-Part-Offset": "1"},
	} {
		header["Chunkline-Protocol"], header["Chunkline-Part-Id"] = wire.Protocol, "probe"
		bases = append(bases, j.message(verb, wire.Message{Header: header, Body: []byte("x")}))
	}
	count := 0
	for _, base := range bases {
		for _, m := range mutations(base) {
			m.Reply = fmt.Sprintf("_INBOX_X.mutation.%d", count)
			j.say(m)
			count++
		}
	}
	t.Logf("%d mutations", count)
	j.mapper("second", "users?duration=20ms", "WORKERS=1")
	j.end(fetcher)
}

// mutations returns damaged copies of a message: each header missing, empty, of another
// kind or too large; another version; the body cut, longer, or with bits flipped.
func mutations(base *nats.Msg) []*nats.Msg {
	values := []string{
		"", " ", "-1", "x", "0", "1e9", "18446744073709551616", "4611686018427387904", "4611686018427387905", "0-65536", "5-1",
		"1x10001", "1x10000", "0-65535:0-99", "0:0-99,0:50-149", "7:0-0", "7:1-0", "7:0-10000", `"`, `"\ud800"`, "{", strings.Repeat("9", 4096), strings.Repeat("f", 32), "\x00", "ä", "true", ",", "/", "1/2/3",
	}
	var all []*nats.Msg
	add := func(change func(m *nats.Msg)) {
		m := marked(base)
		change(m)
		all = append(all, m)
	}
	for key := range base.Header {
		if key == mark {
			continue
		}
		add(func(m *nats.Msg) { m.Header.Del(key) })
		add(func(m *nats.Msg) { m.Header[strings.ToLower(key)] = m.Header[key]; delete(m.Header, key) })
		add(func(m *nats.Msg) { m.Header[key] = []string{"2", m.Header[key][0]} })
		for _, value := range values {
			if key == "Chunkline-Op" || value == base.Header.Get(key) {
				continue
			}
			add(func(m *nats.Msg) { m.Header.Set(key, value) })
		}
	}
	add(func(m *nats.Msg) { m.Header = nats.Header{mark: m.Header[mark]} })
	add(func(m *nats.Msg) { m.Header.Set("X-Giant", strings.Repeat("x", 900_000)) })
	add(func(m *nats.Msg) {
		for i := range 2000 {
			m.Header.Set(fmt.Sprint("X-Many-", i), "x")
		}
	})
	size := len(base.Data)
	for _, to := range []int{0, size / 2, size - 1} {
		add(func(m *nats.Msg) { m.Data = m.Data[:max(0, to)] })
	}
	add(func(m *nats.Msg) { m.Data = append(m.Data, '\n') })
	add(func(m *nats.Msg) { m.Data = append(m.Data, m.Data...) })
	for bit := 0; bit < size*8; bit += max(1, size*8/64) {
		add(func(m *nats.Msg) { m.Data[bit/8] ^= 1 << (bit % 8) })
	}
	return all
}
