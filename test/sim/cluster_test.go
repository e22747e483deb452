package sim

import (
	"container/heap"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/chunkline/chunkline/internal/app"
	"github.com/chunkline/chunkline/internal/bus/bustest"
	"github.com/chunkline/chunkline/internal/fetcher"
	"github.com/chunkline/chunkline/internal/sink"
)

// cluster is the processes of a scenario: it starts the processes, triggers the planned events and restarts
// processes that end, as a supervisor would. Only the test's own goroutine starts processes;
// packets may kill them.
type cluster struct {
	*world
	s      *scenario
	watch  *watch
	begin  time.Time
	agenda agenda
	ended  chan *process
	waits  sync.WaitGroup // goroutines that wait for a process or send a request
	full   atomic.Bool    // commits fail with ErrFull
	broken atomic.Bool    // commits fail with errFire
	result *process       // the fetcher that finished the job
	redone uint64         // the sink's epoch after the last redo
	orders int            // tasks and random pauses so far

	mu         sync.Mutex
	procs      map[string]*process // guarded by mu; the newest of each name
	fetchers   []string            // guarded by mu; names, the newest last
	byzantines []string            // guarded by mu; names of Byzantine mappers
	faults     faults              // guarded by mu
	bad        string              // guarded by mu; the version to redo once the saver has ended
}

// process is one start of a program.
type process struct {
	name    string
	start   func() *role
	starts  int // of this name so far
	role    *role
	killed  bool // guarded by cluster.mu; it was killed
	stopped bool // guarded by cluster.mu; it was stopped gracefully
	down    bool // guarded by cluster.mu; it has ended and was not restarted yet

	retired bool // guarded by cluster.mu; it is not restarted
}

var errFire = errors.New("disk on fire")

func newCluster(w *world, s *scenario) *cluster {
	c := &cluster{world: w, s: s, begin: time.Now(), ended: make(chan *process, 64), procs: map[string]*process{}}
	c.watch = newWatch(c)
	c.faults = newFaults(s)
	w.sink.OnCommit = func(group []sink.Result) error {
		c.watch.inTime(group)
		switch {
		case c.broken.Load():
			return errFire
		case c.full.Load():
			return sink.ErrFull
		}
		return nil
	}
	w.tape.faults(c.see)
	return c
}

// note logs what the cluster does.
func (c *cluster) note(format string, args ...any) {
	fmt.Fprintf(&c.log, "--- %s %s\n", time.Since(c.begin), fmt.Sprintf(format, args...))
}

func (c *cluster) later(d time.Duration, do func()) {
	c.orders++
	heap.Push(&c.agenda, task{at: time.Now().Add(d), order: c.orders, do: do})
}

// see decides the fate of a packet, and which processes it kills.
func (c *cluster) see(p bustest.Packet) bustest.Fate {
	c.watch.see(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	fate, victims := c.faults.decide(p, time.Since(c.begin))
	poisoned, lost := c.s.poisons(p)
	fate.Drop, fate.Delay = fate.Drop || lost, max(fate.Delay, c.s.lag(p))
	for _, v := range append(victims, poisoned...) {
		if victim := c.procs[v.name]; v.after > 0 {
			time.AfterFunc(v.after, func() {
				c.mu.Lock()
				defer c.mu.Unlock()
				if c.procs[v.name] == victim {
					c.kill(v.name, v.why)
				}
			})
		} else {
			c.kill(v.name, v.why)
		}
	}
	c.watch.passed(p, fate)
	return fate
}

// kill crashes a process. The caller holds mu.
func (c *cluster) kill(name, why string) {
	p := c.procs[name]
	if p == nil || p.down || p.killed || c.faults.over && why != "poison" {
		return
	}
	p.killed = true
	c.note("%s crashes (%s)", name, why)
	p.role.kill()
}

// run starts a process.
func (c *cluster) run(name string, start func() *role) {
	c.mu.Lock()
	old := c.procs[name]
	c.mu.Unlock()
	p := &process{name: name, start: start, starts: 1}
	if old != nil {
		p.starts = old.starts + 1
	}
	c.note("%s starts", name)
	c.mu.Lock()
	p.role = start()
	c.procs[name] = p
	c.mu.Unlock()
	c.waits.Go(func() { <-p.role.done; c.ended <- p })
}

// play runs the scenario until the job has ended, or an invariant has been broken.
func (c *cluster) play() {
	c.run("saver", func() *role { return c.launchSaver("saver") })
	c.nap()
	if !c.s.early {
		c.addFetcher()
	}
	for _, m := range c.s.mappers {
		c.nap()
		c.run(m.name, func() *role { return c.launchVersion(m) })
	}
	if c.s.early {
		c.nap()
		c.addFetcher()
	}
	for _, e := range c.s.events {
		c.later(e.at, func() { c.happen(e) })
	}
	for _, l := range c.s.byzantines {
		c.later(l.at, func() { c.addByzantine(l) })
	}
	c.later(c.s.trouble, c.heal)
	_ = c.until(c.s.trouble+c.s.alone()+time.Hour+c.s.longestRest(), func() bool { return c.result != nil || c.t.Failed() })
}

// until runs the tasks that come due until over returns true. It returns false if that takes longer
// than most.
func (c *cluster) until(most time.Duration, over func() bool) bool {
	deadline := time.NewTimer(most)
	defer deadline.Stop()
	for !over() {
		var due <-chan time.Time
		if len(c.agenda) > 0 {
			due = time.After(time.Until(c.agenda[0].at))
		}
		select {
		case p := <-c.ended:
			c.over(p)
		case <-due:
			heap.Pop(&c.agenda).(task).do()
		case <-deadline.C:
			return false
		}
	}
	return true
}

// nap pauses briefly before a process starts. Tickers of processes that start together would tick
// together, and the scheduler would choose their order; with the pauses the seed does.
func (c *cluster) nap() { <-time.After(c.moment()) }

func (c *cluster) moment() time.Duration {
	c.orders++
	return between(c.s.dice(uint64(c.orders), "moment"), time.Millisecond, 50*time.Millisecond)
}

// addFetcher starts another fetcher.
func (c *cluster) addFetcher() {
	c.mu.Lock()
	name := fmt.Sprint("f", len(c.fetchers))
	c.fetchers = append(c.fetchers, name)
	c.mu.Unlock()
	c.run(name, func() *role { return c.launchFetcher(name, c.s.size) })
}

func (c *cluster) launchFetcher(name string, size int) *role {
	return c.world.launchFetcher(name, func(cfg *fetcher.Config) {
		cfg.ChunkSize, cfg.MaxAttempts, cfg.Speculate = size, c.s.attempts, c.s.backups
		c.s.rule(cfg)
	})
}

// over handles the end of a process.
func (c *cluster) over(p *process) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p.down = true
	err := p.role.err
	c.note("%s has ended: %v", p.name, err)
	if p.name == "saver" {
		c.redo()
	}
	isFetcher := p.role.Fetcher != nil
	switch {
	case slices.Contains(c.byzantines, p.name), p.retired:
		return
	case p.name == "other":
		if !p.killed && !errors.Is(err, fetcher.ErrOtherPlan) {
			c.t.Errorf("fetcher of another plan ended with %v, want ErrOtherPlan", err)
		}
		return
	case isFetcher && (err == nil || errors.Is(err, app.ErrDeadLetters)) && p.role.Status().Epoch < c.redone:
		// It finished before chunks were requeued.
	case isFetcher && (err == nil || errors.Is(err, app.ErrDeadLetters)):
		if c.result == nil {
			c.result = p
		}
		return
	case isFetcher && errors.Is(err, fetcher.ErrFenced):
		c.watch.happened("fenced fetcher")
		if c.hasFetcher() {
			return
		}
		// The late claim of a fetcher that has since died fenced the only one left. A supervisor restarts
		// it.
		c.watch.happened("fetcher fenced by a dead one")
	case p.killed, isFetcher && p.stopped && errors.Is(err, fetcher.ErrUnfinished), !isFetcher && p.stopped && err == nil:
	case p.name == "saver" && errors.Is(err, errFire):
		c.watch.happened("saver ended by its sink")
	default:
		c.t.Errorf("%s ended with %v, want it to run on", p.name, err)
	}
	pause := c.faults.restart(p)
	if c.faults.over {
		pause = min(pause, time.Second)
	}
	c.later(pause+c.moment(), func() { c.run(p.name, p.start) })
}

// hasFetcher reports whether a fetcher runs or is about to. The caller holds mu.
func (c *cluster) hasFetcher() bool {
	return slices.ContainsFunc(c.fetchers, func(name string) bool {
		p := c.procs[name]
		return !p.down || !errors.Is(p.role.err, fetcher.ErrFenced)
	})
}

// end ends all processes.
func (c *cluster) end() {
	c.mu.Lock()
	for _, p := range c.procs {
		p.killed = true
	}
	c.mu.Unlock()
	for _, r := range c.roles {
		r.crash()
	}
	c.waits.Wait()
}
