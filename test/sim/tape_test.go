package sim

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/chunkline/chunkline/internal/bus/bustest"
	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/wire"
)

// tape records grants, results and heartbeats, and decides the fate of every packet.
type tape struct {
	mu      sync.Mutex
	fate    func(bustest.Packet) bustest.Fate // guarded by mu; nil: no faults
	granted []handed                          // guarded by mu
	results []result                          // guarded by mu
	beats   []packet[wire.Beat]               // guarded by mu
}

// handed is a piece on its way to a mapper.
type handed struct {
	at       time.Time
	from, to string
	of       int // pieces of its grant
	wire.Granted
}

// result is a result on its way to the saver.
type result struct {
	at   time.Time
	from string
	wire.Result
}

// packet is a message of some kind.
type packet[T any] struct {
	at       time.Time
	from, to string
	m        T
}

func (t *tape) see(p bustest.Packet) bustest.Fate {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch verbOf(p) {
	case wire.VerbNext:
		grant := grantOf(p)
		for _, g := range grant {
			t.granted = append(t.granted, handed{at: time.Now(), from: p.From, to: p.To, of: len(grant), Granted: g})
		}
	case wire.VerbSave:
		for _, r := range resultsOf(p) {
			t.results = append(t.results, result{at: time.Now(), from: p.From, Result: r})
		}
	case wire.VerbBeat:
		if b, err := wire.DecodeBeat(p.Message); err == nil {
			t.beats = append(t.beats, packet[wire.Beat]{time.Now(), p.From, p.To, b})
		}
	}
	if t.fate == nil {
		return bustest.Fate{}
	}
	return t.fate(p)
}

// verbOf returns the verb of a packet's subject.
func verbOf(p bustest.Packet) string { return strings.TrimPrefix(p.Subject, "chunkline."+job+".") }

// grantOf returns the pieces that a packet hands out; none if it is something else, or in parts.
func grantOf(p bustest.Packet) []wire.Granted {
	if verbOf(p) != wire.VerbNext || !p.Reply {
		return nil
	}
	w, err := wire.DecodeWork(p.Message)
	if err != nil || w.Status != wire.WorkGrant {
		return nil
	}
	return w.Grant
}

// resultsOf returns the results that a packet carries; none if it is something else, or in parts.
func resultsOf(p bustest.Packet) []wire.Result {
	if verbOf(p) != wire.VerbSave || p.Reply {
		return nil
	}
	s, err := wire.DecodeSave(p.Message)
	if err != nil {
		return nil
	}
	return s.Results
}

// handsOut returns the piece with an object of the source that a packet hands out; nil if
// there is none.
func handsOut(p bustest.Packet, object int) *wire.Granted {
	grant := grantOf(p)
	for i := range grant {
		if first := int(grant[i].Chunk.First); first <= object && object < first+grant[i].Chunk.Count {
			return &grant[i]
		}
	}
	return nil
}

// faults sets the function that decides the fate of packets; nil: no faults.
func (t *tape) faults(fate func(bustest.Packet) bustest.Fate) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.fate = fate
}

// cut drops all packets from and to the named connections.
func (t *tape) cut(names ...string) {
	t.faults(func(p bustest.Packet) bustest.Fate {
		return bustest.Fate{Drop: slices.Contains(names, p.From) || slices.Contains(names, p.To)}
	})
}

// handed returns the pieces that were handed out so far, of one chunk if it is named.
func (t *tape) handed(ids ...chunk.ID) []handed {
	t.mu.Lock()
	defer t.mu.Unlock()
	var some []handed
	for _, h := range t.granted {
		if len(ids) == 0 || slices.Contains(ids, h.Chunk.ID) {
			some = append(some, h)
		}
	}
	return some
}

// sent returns the results that were sent, of one mapper if it is named.
func (t *tape) sent(from ...string) []result {
	t.mu.Lock()
	defer t.mu.Unlock()
	var some []result
	for _, s := range t.results {
		if len(from) == 0 || slices.Contains(from, s.from) {
			some = append(some, s)
		}
	}
	return some
}

// handedOnce fails the test unless each of the objects 0 to n was handed out exactly once.
func (w *world) handedOnce(n int) {
	w.t.Helper()
	times := map[int]int{}
	for _, h := range w.tape.handed() {
		for i := range h.Chunk.Count {
			times[int(h.Chunk.First)+i]++
		}
	}
	w.eachOnce(n, times, "handed out")
}

// sentOnce fails the test unless exactly one result of each of the objects 0 to n was sent.
func (w *world) sentOnce(n int) {
	w.t.Helper()
	times := map[int]int{}
	for _, r := range w.tape.sent() {
		for i := range r.Objects {
			times[int(r.First)+i]++
		}
	}
	w.eachOnce(n, times, "sent")
}

func (w *world) eachOnce(n int, times map[int]int, what string) {
	w.t.Helper()
	for i := range n {
		if times[i] != 1 {
			w.t.Errorf("object %d was %s %d times, want once", i, what, times[i])
		}
	}
	if len(times) != n {
		w.t.Errorf("%d objects were %s, want %d", len(times), what, n)
	}
}

// goodbyes counts the goodbyes of a mapper.
func (t *tape) goodbyes(from string) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := 0
	for _, b := range t.beats {
		if b.from == from && b.m.Goodbye {
			n++
		}
	}
	return n
}
