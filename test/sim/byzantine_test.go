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

// liarPlan says when a liar runs.
type liarPlan struct{ at, span time.Duration }

// liar is a mapper that sends false messages: results of fewer, more or other objects than it got,
// results of pieces that it never got, two different results of one piece, and lists of pieces that
// it does not hold. A result that does not match its lease must be refused. Of two that match, the
// first stays, whatever it contains: only a second mapper could show that it is wrong.
type liar struct {
	c    *crew
	bus  *bus.Bus
	dice *rand.Rand
	self report.Mapper
	seq  uint64
	got  []leased
}

// leased is a piece that the liar got.
type leased struct {
	wire.Granted
	plan  chunk.PlanID
	epoch uint64
}

func (c *crew) launchLiar(name string) *role {
	return c.launch(name, func(b *bus.Bus, _ zerolog.Logger) (func(context.Context) error, func() error) {
		l := &liar{
			c: c, bus: b, dice: c.s.dice(uint64(len(c.roles)), "liar", name),
			self: report.Mapper{ID: b.ID(), Name: name, Version: "lies", Transform: "lies"},
		}
		return l.run, func() error { return nil }
	})
}

func (l *liar) run(ctx context.Context) error {
	for ctx.Err() == nil {
		for _, got := range l.ask(ctx) {
			l.c.watch.happened("liar got a piece")
			l.got = append(l.got, got)
			l.lie(ctx, got)
		}
		_ = l.bus.Publish(wire.VerbBeat, l.beat().Encode()) // lost: one lie less
		if plan := l.plan(); plan != "" && l.dice.IntN(4) == 0 {
			_ = l.bus.Publish(wire.VerbHello, wire.Hello{Plan: plan, Epoch: uint64(l.dice.IntN(10))}.Encode())
		}
		select {
		case <-ctx.Done():
		case <-time.After(between(l.dice, 10*time.Millisecond, 3*time.Second)):
		}
	}
	return nil
}

// holding lists some of the pieces that the liar got, and random others.
func (l *liar) holding() wire.Holding {
	l.seq++
	h := wire.Holding{Seq: l.seq}
	for i := range l.got {
		if l.dice.IntN(3) > 0 {
			h.Held = append(h.Held, l.got[i].Piece())
		}
	}
	for range l.dice.IntN(4) * l.dice.IntN(2) {
		from := l.dice.IntN(l.c.s.size)
		h.Held = append(h.Held, chunk.Piece{
			Chunk: chunk.ID(l.dice.IntN(5 + l.c.s.objects/l.c.s.size)), From: from, To: from + 1 + l.dice.IntN(l.c.s.size),
		})
	}
	slices.SortFunc(h.Held, chunk.Piece.Compare)
	h.Held = slices.Compact(h.Held)
	return h
}

func (l *liar) plan() chunk.PlanID {
	if len(l.got) == 0 {
		return ""
	}
	return l.got[0].plan
}

func (l *liar) ask(ctx context.Context) (got []leased) {
	ctx, done := context.WithTimeout(ctx, 2*time.Second)
	defer done()
	n := wire.Next{Plan: l.plan(), Mapper: l.self, Holding: l.holding(), Wait: time.Second}
	n.Asking = []uint64{n.Seq}
	reply, err := l.bus.Request(ctx, wire.VerbNext, n.Encode())
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

func (l *liar) beat() wire.Beat {
	b := wire.Beat{Plan: l.plan(), Mapper: l.self, Holding: l.holding(), Goodbye: l.dice.IntN(20) == 0}
	if !l.c.s.fair && len(l.got) > 0 && l.dice.IntN(3) == 0 {
		of := l.got[l.dice.IntN(len(l.got))]
		b.Doing = &wire.Doing{Chunk: of.Chunk.ID, Index: of.From + l.dice.IntN(of.Chunk.Count+1)}
	}
	return b
}

// lie sends results for a piece that the liar got, or keeps the piece forever.
func (l *liar) lie(ctx context.Context, got leased) {
	truth, possible := l.truth(got)
	if !possible { // the poisonous object has no result
		return
	}
	switch l.dice.IntN(9) {
	case 0: // keeps the piece and never maps it
	case 1:
		l.send(ctx, got, truth)
	case 2, 3:
		both := []wire.Result{truth, truth}
		lie := l.dice.IntN(2)
		both[lie].Outputs = bytes.ReplaceAll(truth.Outputs, []byte(`"id"`), []byte(`"ID"`))
		l.c.watch.believes(got.Piece(), both[lie].Outputs)
		if l.dice.IntN(2) == 0 {
			l.send(ctx, got, both...)
		} else {
			l.send(ctx, got, both[0])
			l.send(ctx, got, both[1])
		}
	case 4: // fewer
		fewer := truth
		last := fewer.Counts[len(fewer.Counts)-1]
		if last == 1 && fewer.Objects > 1 {
			fewer.Objects--
			fewer.Counts = fewer.Counts[:fewer.Objects]
			fewer.Outputs = fewer.Outputs[:bytes.LastIndexByte(fewer.Outputs[:len(fewer.Outputs)-1], '\n')+1]
			l.refused(ctx, "fewer objects", got, fewer)
		}
	case 5: // more
		more := truth
		more.Objects++
		more.Of = max(more.Of, more.From+more.Objects)
		more.Counts = append(slices.Clone(more.Counts), 1)
		more.Outputs = append(slices.Clone(more.Outputs), "{\"id\":\"more\"}\n"...)
		l.refused(ctx, "more objects", got, more)
	case 6: // other objects, of a chunk that it never got
		others := truth
		others.Chunk++
		others.First += uint64(l.c.s.size)
		l.refused(ctx, "a chunk that it did not get", got, others)
	case 7: // objects with other content
		changed := truth
		changed.Digest[0] ^= 1
		l.refused(ctx, "a chunk with another digest", got, changed)
	case 8: // the same number of objects, from elsewhere in the chunk
		moved := truth
		if moved.From+moved.Objects < moved.Of {
			moved.From++
			moved.First++
			l.refused(ctx, "another piece of the chunk", got, moved)
		}
	}
}

// truth returns the correct result. There is none for a piece with the poisonous object.
func (l *liar) truth(w leased) (save wire.Result, possible bool) {
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
				letter.Attempts, letter.Mapper = w.Attempt, l.self.Name
			}
			save.Dead, save.DeadCount = letter.Append(save.Dead), save.DeadCount+1
			save.Counts = append(save.Counts, 0)
		case ordinal == l.c.s.poison:
			return save, false
		default:
			outputs.WriteString(l.c.s.output(ordinal))
			save.Counts = append(save.Counts, 1)
		}
	}
	save.Outputs = []byte(outputs.String())
	return save, true
}

// send sends results in one message, and returns the status of the first.
func (l *liar) send(ctx context.Context, of leased, results ...wire.Result) (wire.SaveStatus, bool) {
	ctx, done := context.WithTimeout(ctx, 5*time.Second)
	defer done()
	save := wire.Save{Plan: of.plan, Epoch: of.epoch, Mapper: l.self, Results: results}
	reply, err := l.bus.Request(ctx, wire.VerbSave, save.Encode())
	if err != nil {
		return "", false
	}
	a, err := wire.DecodeSaveAnswer(reply)
	return a.Of(0), err == nil
}

// refused sends a result that must be refused.
func (l *liar) refused(ctx context.Context, what string, of leased, r wire.Result) {
	status, answered := l.send(ctx, of, r)
	if !answered || status == wire.SaveBusy {
		return
	}
	l.c.watch.happened("lie refused: " + what)
	if status != wire.SaveRefused {
		l.c.t.Errorf("a result of %s was answered %s", what, status)
	}
}

// believes notes outputs that a liar sends with a valid lease: the sink may hold them.
func (w *watch) believes(p chunk.Piece, outputs []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.believed[p] = append(w.believed[p], string(outputs))
}

// addLiar starts a liar, and kills it after a while.
func (c *crew) addLiar(p liarPlan) {
	c.mu.Lock()
	calm, name := c.sky.calm, fmt.Sprint("liar", len(c.liars))
	if !calm {
		c.liars = append(c.liars, name)
	}
	c.mu.Unlock()
	if calm {
		return
	}
	c.run(name, func() *role { return c.launchLiar(name) })
	c.later(p.span, func() { c.mu.Lock(); defer c.mu.Unlock(); c.kill(name, "caught") })
}
