package chaos

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chunkline/chunkline/test/proc"
)

// A crew is the processes that run one job. The tests inject faults and end them;
// only the fetcher may exit by itself, when the job is done.
type crew struct {
	*proc.Job

	nats    []*proc.Process
	saver   *proc.Process
	fetcher *proc.Process
	mappers []*proc.Process
}

// chunkSize is small, so that few users make many chunks for faults to interrupt.
const chunkSize = 25

// newCrew prepares a job of n users, but starts no process.
func newCrew(t *testing.T, n int) *crew {
	t.Helper()
	c := &crew{Job: proc.NewJob(t, "chaos")}
	c.Env = append(c.Env, "LOG_LEVEL=debug")
	c.Users(n)
	t.Cleanup(func() { keepFiles(t, c.Dir) })
	return c
}

// keepFiles copies the files of a failed job to the folder -keep.
func keepFiles(t *testing.T, dir string) {
	if *keep == "" || !t.Failed() {
		return
	}
	to := filepath.Join(*keep, t.Name())
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Logf("keep the files: %v", err)
	}
	t.Logf("the files are in %s", to)
}

// startNATS starts one server on loopback with these configuration lines.
func (c *crew) startNATS(lines ...string) {
	c.T.Helper()
	server := c.NATS("-c", c.config(lines...))
	server.Await("Server is ready")
	c.nats = []*proc.Process{server}
}

// config writes a configuration file of nats-server; flags may add to it.
func (c *crew) config(lines ...string) (path string) {
	c.T.Helper()
	path = filepath.Join(c.Dir, "nats.conf")
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		c.T.Fatal(err)
	}
	return path
}

func (c *crew) startSaver(env ...string) *proc.Process {
	c.T.Helper()
	c.saver = c.Saver(env...)
	return c.saver
}

func (c *crew) startFetcher(env ...string) *proc.Process {
	c.T.Helper()
	c.fetcher = c.newFetcher("fetcher", env...)
	return c.fetcher
}

// newFetcher starts a fetcher in addition to the crew's.
func (c *crew) newFetcher(label string, env ...string) *proc.Process {
	c.T.Helper()
	return c.NextFetcher(label, append([]string{fmt.Sprintf("CHUNK_SIZE=%d", chunkSize), "ON_DONE=exit"}, env...)...)
}

// addMapper starts a mapper that takes duration for a chunk.
func (c *crew) addMapper(duration string, env ...string) *proc.Process {
	c.T.Helper()
	return c.addMapperOf("users?duration="+duration, env...)
}

func (c *crew) addMapperOf(transform string, env ...string) *proc.Process {
	c.T.Helper()
	m := c.Mapper(fmt.Sprintf("mapper-%d", len(c.mappers)), transform, append([]string{"STOP_TIMEOUT=2s"}, env...)...)
	c.mappers = append(c.mappers, m)
	return m
}

// hurry adds a fast mapper that soon finishes the job. The others may be so slow that
// the job cannot end before the last fault.
func (c *crew) hurry() {
	c.T.Helper()
	c.addMapper("0s", "WORKERS=2")
}

// startAll starts saver, fetcher and n mappers with two workers each, which take
// duration for a chunk.
func (c *crew) startAll(n int, duration string) {
	c.T.Helper()
	c.startSaver()
	c.startFetcher()
	for range n {
		c.addMapper(duration, "WORKERS=2")
	}
}

// all returns every process of the crew.
func (c *crew) all() []*proc.Process {
	return slices.Concat(c.nats, []*proc.Process{c.saver, c.fetcher}, c.mappers)
}

// done reports whether the job is done, and fails the test if a process has exited
// by itself. Call it only while all processes should run.
func (c *crew) done() bool {
	c.T.Helper()
	done := false
	for _, p := range c.all() {
		done = c.ended(p) || done
	}
	return done
}

// ended reports whether p is the fetcher and has exited because the job is done. It
// fails the test if p has exited otherwise. Call it only while p should run.
func (c *crew) ended(p *proc.Process) bool {
	c.T.Helper()
	if !p.Ended() {
		return false
	}
	if p != c.fetcher || p.Code() != 0 {
		c.T.Fatalf("%s has ended by itself, exit code %d", p.Label, p.Code())
	}
	return true
}

// kill kills a process, which should still run.
func (c *crew) kill(p *proc.Process) {
	c.T.Helper()
	c.ended(p)
	p.Kill()
}

// end sends SIGTERM to a process, which must obey whatever else is broken.
func (c *crew) end(p *proc.Process) {
	c.T.Helper()
	if c.ended(p) {
		return
	}
	p.Signal(syscall.SIGTERM)
	switch code := p.Exit(); {
	case code == 0:
	case code == -1: // it did not handle signals yet
	case code == 130 && p == c.fetcher && strings.HasSuffix(p.Log(), "start it again to continue where it stopped\n"):
	case code == 1 && slices.Contains(c.nats, p): // nats-server exits with 1
	default:
		c.T.Errorf("%s: exit code %d after SIGTERM", p.Label, code)
	}
}

// finish waits for the end of the job after the last fault, and checks the output
// and the logs.
func (c *crew) finish() {
	c.T.Helper()
	healed := time.Now()
	if code := c.fetcher.Exit(); code != 0 {
		c.T.Fatalf("%s: exit code %d, want 0", c.fetcher.Label, code)
	}
	c.T.Logf("the job ended %s after everything was healed", time.Since(healed).Round(time.Millisecond))
	c.done()
	proc.End(c.T, c.saver)
	c.Verify("")
	c.checkWords()
}
