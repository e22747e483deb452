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

// tape sees every packet: it writes down what counts, and decides its fate.
type tape struct {
	mu    sync.Mutex
	fate  func(bustest.Packet) bustest.Fate // guarded by mu; nil: all well
	work  []handed                          // guarded by mu
	saves []packet[wire.Save]               // guarded by mu
	beats []packet[wire.Beat]               // guarded by mu
}

// handed is a chunk on its way to a mapper.
type handed struct {
	at   time.Time
	from string
	to   string
	wire.Work
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
		if w, err := wire.DecodeWork(p.Message); p.Reply && err == nil && w.Status == wire.WorkChunk {
			t.work = append(t.work, handed{at: time.Now(), from: p.From, to: p.To, Work: w})
		}
	case wire.VerbSave:
		if s, err := wire.DecodeSave(p.Message); !p.Reply && err == nil {
			t.saves = append(t.saves, packet[wire.Save]{time.Now(), p.From, p.To, s})
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

// verbOf is what a packet is about.
func verbOf(p bustest.Packet) string { return strings.TrimPrefix(p.Subject, "chunkline."+job+".") }

// faults lets fate decide from now on; nil: all well.
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

// handed returns the hand-outs so far, of one chunk if it is named.
func (t *tape) handed(ids ...chunk.ID) []handed {
	t.mu.Lock()
	defer t.mu.Unlock()
	var some []handed
	for _, h := range t.work {
		if len(ids) == 0 || slices.Contains(ids, h.Chunk.ID) {
			some = append(some, h)
		}
	}
	return some
}

// saved returns the results that were sent, of one mapper if it is named.
func (t *tape) saved(from ...string) []packet[wire.Save] {
	t.mu.Lock()
	defer t.mu.Unlock()
	var some []packet[wire.Save]
	for _, s := range t.saves {
		if len(from) == 0 || slices.Contains(from, s.from) {
			some = append(some, s)
		}
	}
	return some
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
