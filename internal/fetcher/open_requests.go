package fetcher

import (
	"container/list"
	"time"

	"github.com/chunkline/chunkline/internal/bus"
	"github.com/chunkline/chunkline/internal/failpoint"
	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/internal/wire"
)

// ask is a mapper's unanswered request for work.
type ask struct {
	request *bus.Request
	mapper  string
	seq     uint64
	pace    time.Duration // the mapper's time per object; 0: not known
	grain   int           // objects that one of its workers maps at the same time; 0: one
	until   time.Time     // the mapper stops waiting then; never answer with a chunk after it
}

// waiting keeps requests in the order of arrival, and finds those of a mapper.
type waiting struct {
	queue *list.List                          // of ask
	of    map[string]map[uint64]*list.Element // by mapper and seq
	due   time.Time                           // no request expires before; avoids checking thousands after each event
}

func (w *waiting) init() { w.queue, w.of = list.New(), map[string]map[uint64]*list.Element{} }

func (w *waiting) len() int { return w.queue.Len() }

func (w *waiting) add(a ask) {
	if w.of[a.mapper] == nil {
		w.of[a.mapper] = map[uint64]*list.Element{}
	}
	if w.queue.Len() == 0 || a.until.Before(w.due) {
		w.due = a.until
	}
	w.of[a.mapper][a.seq] = w.queue.PushBack(a)
}

func (w *waiting) remove(e *list.Element) {
	a := w.queue.Remove(e).(ask)
	delete(w.of[a.mapper], a.seq)
	if len(w.of[a.mapper]) == 0 {
		delete(w.of, a.mapper)
	}
}

// first offers the requests to give, oldest first, until it answers one.
func (w *waiting) first(give func(ask) bool) bool {
	for e := w.queue.Front(); e != nil; e = e.Next() {
		if give(e.Value.(ask)) {
			w.remove(e)
			return true
		}
	}
	return false
}

// drop forgets the requests that a mapper no longer waits for.
func (w *waiting) drop(mapper string, open []uint64) {
	for seq, e := range w.of[mapper] {
		if !contains(open, seq) {
			w.remove(e)
		}
	}
}

// release answers the requests of a draining mapper with "nothing yet". The mapper finishes its pieces and needs no
// more.
func (w *waiting) release(c *coordinator, mapper string) {
	for _, e := range w.of[mapper] {
		c.f.reply(e.Value.(ask).request, c.word(wire.WorkNone).Encode())
		w.remove(e)
	}
}

// expire answers the requests of mappers that stop waiting with "nothing yet", and all requests with "done" once the
// job is done.
func (w *waiting) expire(c *coordinator, now time.Time) {
	if c.state != report.StateDone && now.Before(w.due) {
		return
	}
	var due time.Time
	var next *list.Element
	for e := w.queue.Front(); e != nil; e = next {
		next = e.Next()
		a := e.Value.(ask)
		switch {
		case c.state == report.StateDone:
			c.f.reply(a.request, c.word(wire.WorkDone).Encode())
			failpoint.Hit("fetcher.done.said")
		case !now.Before(a.until):
			c.f.reply(a.request, c.word(wire.WorkNone).Encode())
		default:
			if due.IsZero() || a.until.Before(due) {
				due = a.until
			}
			continue
		}
		w.remove(e)
	}
	w.due = due
}

// refuse answers every waiting request: this fetcher has no more work.
func (w *waiting) refuse(c *coordinator) {
	for e := w.queue.Front(); e != nil; e = e.Next() {
		answer := c.word(wire.WorkRefused)
		answer.Reason = c.err.Error()
		c.f.reply(e.Value.(ask).request, answer.Encode())
	}
	w.init()
}

// word returns an answer without a chunk.
func (c *coordinator) word(status wire.WorkStatus) wire.Work {
	return wire.Work{Status: status, Plan: c.f.planID, Epoch: c.f.grant.epoch}
}
