package sim

import (
	"slices"
	"time"

	"github.com/chunkline/chunkline/internal/sink"
)

// finish waits until all other fetchers have ended, and runs the job again, which must change
// nothing.
func (c *cluster) finish() {
	c.heal()
	alone := func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, name := range append(slices.Clone(c.fetchers), "other") {
			if p := c.procs[name]; p != nil && !p.down {
				return false
			}
		}
		return true
	}
	if !c.until(2*time.Minute, alone) {
		c.t.Errorf("a fetcher still runs two minutes after the job was done")
	}
	before, total := len(c.tape.handed()), c.sink.Summary()
	c.result = nil
	c.addFetcher()
	if !c.until(2*time.Minute, func() bool { return c.result != nil }) {
		c.t.Errorf("the job, run again, does not end")
	}
	if after := len(c.tape.handed()); after != before {
		c.t.Errorf("the job, run again, handed out %d pieces", after-before)
	}
	if again := c.sink.Summary(); again != total {
		c.t.Errorf("the job, run again, changed the sink from %+v to %+v", total, again)
	}
}

// mend removes a version, as an operator does with a bad one, and requeues its chunks. The job, run
// again, ends without any result of that version.
func (c *cluster) mend() {
	if len(c.s.releases) == 0 {
		return
	}
	version := pick(c.s.dice(0, "mend"), c.s.releases...).name
	c.retire(version)
	// Messages of its mappers may be minutes late.
	c.until(5*time.Minute, func() bool { return false })
	c.result = nil
	c.mu.Lock()
	saver := c.procs["saver"]
	c.bad, saver.stopped = version, true
	saver.role.cancel()
	c.mu.Unlock()
	if !c.until(time.Minute, func() bool { return saver.down }) {
		c.t.Errorf("the saver does not stop")
	}
	c.addFetcher()
	if !c.until(c.s.alone()+time.Hour+c.s.longestRest(), func() bool { return c.result != nil }) {
		c.t.Errorf("the job, run again without version %s, does not end", version)
		return
	}
	c.sink.each(func(r sink.Result) {
		if r.Version == version {
			c.t.Errorf("piece %s is of version %s again", pieceOf(r), version)
		}
	})
}
