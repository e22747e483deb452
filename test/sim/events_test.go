package sim

import (
	"container/heap"
	"slices"
	"time"
)

// happen triggers an event.
func (c *cluster) happen(e event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.faults.over {
		return
	}
	for i, name := range e.who {
		if name == "fetcher" {
			e.who[i] = c.fetchers[len(c.fetchers)-1]
		}
	}
	c.note("%s %v for %s %s", e.kind, e.who, e.span, e.way)
	who := e.who[0]
	switch e.kind {
	case "crash":
		c.kill(who, "planned")
	case "stop":
		if p := c.procs[who]; !p.down {
			p.stopped = true
			p.role.cancel()
		}
	case "pause":
		c.net.Pause(who)
		c.later(e.span, func() { c.net.Resume(who) })
	case "cut":
		stop := c.faults.cut(e)
		c.later(e.span, func() { c.mu.Lock(); defer c.mu.Unlock(); stop() })
	case "away":
		c.watch.happened("nats away")
		c.away.Store(true)
		c.net.Away()
		c.later(e.span, c.back)
	case "doomed":
		for at := time.Duration(0); at < e.span; at += e.every {
			c.later(at, func() { c.mu.Lock(); defer c.mu.Unlock(); c.kill(who, "doomed") })
		}
	case "usurped":
		stop := c.faults.cut(e)
		c.later(e.span/2, c.addFetcher)
		c.later(e.span, func() { c.mu.Lock(); defer c.mu.Unlock(); stop() })
	case "second":
		c.later(0, c.addFetcher)
	case "other":
		if _, bound := c.sink.Plan(); bound && c.procs["other"] == nil {
			c.later(0, func() { c.run("other", func() *role { return c.launchFetcher("other", c.s.size+1) }) })
		}
	case "order":
		c.waits.Go(func() { c.command(e.order) }) // sending locks mu
	case "look":
		if r := c.procs[who].role; r.Fetcher != nil {
			c.waits.Go(func() { c.look(r) })
		}
	case "protocol 1":
		c.waits.Go(c.askAsBefore)
	case "redo":
		c.bad = e.order.Version
		if c.procs["saver"].down {
			c.redo()
		}
		c.kill("saver", "redo")
	case "full":
		c.full.Store(true)
		c.later(e.span, func() { c.full.Store(false) })
	case "broken":
		c.broken.Store(true)
		c.later(e.span, func() { c.broken.Store(false) })
	}
}

func (c *cluster) back() {
	c.away.Store(false)
	c.net.Back()
}

// heal ends all faults and restarts every process that is down.
func (c *cluster) heal() {
	if c.result == nil {
		c.note("all faults end")
		c.watch.happened("work left after the trouble")
	}
	c.mu.Lock()
	for _, name := range c.byzantines {
		c.kill(name, "byzantine")
	}
	c.faults.over = true
	names := slices.Concat(c.fetchers, c.s.names())
	c.mu.Unlock()
	c.watch.healed = time.Now()
	c.full.Store(false)
	c.broken.Store(false)
	c.back()
	for _, name := range names {
		c.net.Resume(name)
	}
	for i := range c.agenda { // pending restarts too
		c.agenda[i].at = time.Now()
	}
	heap.Init(&c.agenda)
}
