package sim

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/chunkline/chunkline/internal/bus"
	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/internal/wire"
)

// byzantinePlan says when a Byzantine mapper runs.
type byzantinePlan struct{ at, span time.Duration }

// byzantine is a mapper that sends false messages: results of fewer, more or other objects than it got,
// results of pieces that it never got, two different results of one piece, and lists of pieces that
// it does not hold. A result that does not match its lease must be refused. Of two that match, the
// first stays, with any content: only a second mapper could show that it is wrong.
type byzantine struct {
	c    *cluster
	bus  *bus.Bus
	dice *rand.Rand
	self report.Mapper
	seq  uint64
	got  []leased
}

// leased is a piece that the Byzantine mapper got.
type leased struct {
	wire.Granted
	plan  chunk.PlanID
	epoch uint64
}

func (c *cluster) launchByzantine(name string) *role {
	return c.launch(name, func(b *bus.Bus, _ zerolog.Logger) (func(context.Context) error, func() error) {
		m := &byzantine{
			c: c, bus: b, dice: c.s.dice(uint64(len(c.roles)), "byzantine", name),
			self: report.Mapper{ID: b.ID(), Name: name, Version: "byzantine", Transform: "byzantine"},
		}
		return m.run, func() error { return nil }
	})
}

func (m *byzantine) run(ctx context.Context) error {
	for ctx.Err() == nil {
		for _, got := range m.ask(ctx) {
			m.c.watch.happened("byzantine mapper got a piece")
			m.got = append(m.got, got)
			m.forge(ctx, got)
		}
		_ = m.bus.Publish(wire.VerbBeat, m.beat().Encode()) // lost: one false message less
		if plan := m.plan(); plan != "" && m.dice.IntN(4) == 0 {
			_ = m.bus.Publish(wire.VerbHello, wire.Hello{Plan: plan, Epoch: uint64(m.dice.IntN(10))}.Encode())
		}
		select {
		case <-ctx.Done():
		case <-time.After(between(m.dice, 10*time.Millisecond, 3*time.Second)):
		}
	}
	return nil
}

// holding lists some of the pieces that the mapper got, and random others.
func (m *byzantine) holding() wire.Holding {
	m.seq++
	h := wire.Holding{Seq: m.seq}
	for i := range m.got {
		if m.dice.IntN(3) > 0 {
			h.Held = append(h.Held, m.got[i].Piece())
		}
	}
	for range m.dice.IntN(4) * m.dice.IntN(2) {
		from := m.dice.IntN(m.c.s.size)
		h.Held = append(h.Held, chunk.Piece{
			Chunk: chunk.ID(m.dice.IntN(5 + m.c.s.objects/m.c.s.size)), From: from, To: from + 1 + m.dice.IntN(m.c.s.size),
		})
	}
	slices.SortFunc(h.Held, chunk.Piece.Compare)
	h.Held = slices.Compact(h.Held)
	return h
}

func (m *byzantine) plan() chunk.PlanID {
	if len(m.got) == 0 {
		return ""
	}
	return m.got[0].plan
}

func (m *byzantine) ask(ctx context.Context) (got []leased) {
	ctx, done := context.WithTimeout(ctx, 2*time.Second)
	defer done()
	n := wire.Next{Plan: m.plan(), Mapper: m.self, Holding: m.holding(), Wait: time.Second}
	n.Asking = []uint64{n.Seq}
	reply, err := m.bus.Request(ctx, wire.VerbNext, n.Encode())
	if err != nil {
		return nil
	}
	work, err := wire.DecodeWork(reply)
	if err != nil || work.Status != wire.WorkGrant {
		return nil
	}
	for _, g := range work.Grant {
		got = append(got, leased{g, work.Plan, work.Epoch})
	}
	return got
}

func (m *byzantine) beat() wire.Beat {
	b := wire.Beat{Plan: m.plan(), Mapper: m.self, Holding: m.holding(), Goodbye: m.dice.IntN(20) == 0}
	if !m.c.s.fair && len(m.got) > 0 && m.dice.IntN(3) == 0 {
		of := m.got[m.dice.IntN(len(m.got))]
		b.Doing = &wire.Doing{Chunk: of.Chunk.ID, Index: of.From + m.dice.IntN(of.Chunk.Count+1)}
	}
	return b
}

// forge sends results for a piece that the mapper got, or keeps the piece forever.
func (m *byzantine) forge(ctx context.Context, got leased) {
	correct, possible := m.correct(got)
	if !possible { // the poisonous object has no result
		return
	}
	switch m.dice.IntN(9) {
	case 0: // keeps the piece and never maps it
	case 1:
		m.send(ctx, got, correct)
	case 2, 3:
		both := []wire.Result{correct, correct}
		forged := m.dice.IntN(2)
		both[forged].Outputs = bytes.ReplaceAll(correct.Outputs, []byte(`"id"`), []byte(`"ID"`))
		m.c.watch.noteForged(got.Piece(), both[forged].Outputs)
		if m.dice.IntN(2) == 0 {
			m.send(ctx, got, both...)
		} else {
			m.send(ctx, got, both[0])
			m.send(ctx, got, both[1])
		}
	case 4: // fewer
		fewer := correct
		last := fewer.Counts[len(fewer.Counts)-1]
		if last == 1 && fewer.Objects > 1 {
			fewer.Objects--
			fewer.Counts = fewer.Counts[:fewer.Objects]
			fewer.Outputs = fewer.Outputs[:bytes.LastIndexByte(fewer.Outputs[:len(fewer.Outputs)-1], '\n')+1]
			m.refused(ctx, "fewer objects", got, fewer)
		}
	case 5: // more
		more := correct
		more.Objects++
		more.Of = max(more.Of, more.From+more.Objects)
		more.Counts = append(slices.Clone(more.Counts), 1)
		more.Outputs = append(slices.Clone(more.Outputs), "{\"id\":\"more\"}\n"...)
		m.refused(ctx, "more objects", got, more)
	case 6: // other objects, of a chunk that it never got
		others := correct
		others.Chunk++
		others.First += uint64(m.c.s.size)
		m.refused(ctx, "a chunk that it did not get", got, others)
	case 7: // objects with other content
		changed := correct
		changed.Digest[0] ^= 1
		m.refused(ctx, "a chunk with another digest", got, changed)
	case 8: // the same number of objects, from elsewhere in the chunk
		moved := correct
		if moved.From+moved.Objects < moved.Of {
			moved.From++
			moved.First++
			m.refused(ctx, "another piece of the chunk", got, moved)
		}
	}
}

// correct returns the correct result. There is none for a piece with the poisonous object.
func (m *byzantine) correct(w leased) (save wire.Result, possible bool) {
	save = wire.Result{
		Chunk: w.Chunk.ID, From: w.From, Of: w.Of, First: w.Chunk.First, Objects: w.Chunk.Count,
		Attempt: w.Attempt, Digest: w.Digest, Token: w.Token,
	}
	untouched := map[int]chunk.Flaw{}
	for _, f := range slices.Concat(w.Chunk.Bad, w.Skip) {
		untouched[f.Index] = f
	}
	var outputs strings.Builder
	for i, object := range chunk.Objects(w.Chunk.Body) {
		ordinal := int(w.Chunk.First) + i
		f, is := untouched[w.From+i]
		switch {
		case is:
			letter := chunk.DeadLetter{Ordinal: uint64(ordinal), Chunk: w.Chunk.ID, Error: f.Reason, Object: object}
			if !slices.Contains(w.Chunk.Bad, f) {
				letter.Attempts, letter.Mapper = w.Attempt, m.self.Name
			}
			save.Dead, save.DeadCount = letter.Append(save.Dead), save.DeadCount+1
			save.Counts = append(save.Counts, 0)
		case ordinal == m.c.s.poison:
			return save, false
		default:
			outputs.WriteString(m.c.s.output(ordinal))
			save.Counts = append(save.Counts, 1)
		}
	}
	save.Outputs = []byte(outputs.String())
	return save, true
}

// send sends results in one message, and returns the status of the first.
func (m *byzantine) send(ctx context.Context, of leased, results ...wire.Result) (wire.SaveStatus, bool) {
	ctx, done := context.WithTimeout(ctx, 5*time.Second)
	defer done()
	save := wire.Save{Plan: of.plan, Epoch: of.epoch, Mapper: m.self, Results: results}
	reply, err := m.bus.Request(ctx, wire.VerbSave, save.Encode())
	if err != nil {
		return "", false
	}
	a, err := wire.DecodeSaveAnswer(reply)
	return a.Of(0), err == nil
}

// refused sends a result that must be refused.
func (m *byzantine) refused(ctx context.Context, what string, of leased, r wire.Result) {
	status, answered := m.send(ctx, of, r)
	if !answered || status == wire.SaveBusy {
		return
	}
	m.c.watch.happened("forged result refused: " + what)
	if status != wire.SaveRefused {
		m.c.t.Errorf("a result of %s: got the answer %s, want %s", what, status, wire.SaveRefused)
	}
}

// noteForged records outputs that a Byzantine mapper sends with a valid lease: the sink may hold them.
func (w *watch) noteForged(p chunk.Piece, outputs []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.forged[p] = append(w.forged[p], string(outputs))
}

// addByzantine starts a Byzantine mapper, and kills it after a while.
func (c *cluster) addByzantine(p byzantinePlan) {
	c.mu.Lock()
	over, name := c.faults.over, fmt.Sprint("byzantine", len(c.byzantines))
	if !over {
		c.byzantines = append(c.byzantines, name)
	}
	c.mu.Unlock()
	if over {
		return
	}
	c.run(name, func() *role { return c.launchByzantine(name) })
	c.later(p.span, func() { c.mu.Lock(); defer c.mu.Unlock(); c.kill(name, "byzantine") })
}
