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

// A crew is the processes that run one job. The tests strike and heal them;
// nobody but the fetcher, when the job is done, may end by himself.
type crew struct {
	t      *testing.T
	dir    string
	source string
	out    string
	users  int
	url    string                      // of NATS
	prefix func(label string) []string // what runs a process, if not nil

	nats    []*proc.Process
	saver   *proc.Process
	fetcher *proc.Process
	mappers []*proc.Process
}

// chunkSize makes many chunks of few users, for faults to fall between.
const chunkSize = 25

// newCrew prepares a job of n users; nothing runs yet.
func newCrew(t *testing.T, n int) *crew {
	t.Helper()
	dir := t.TempDir()
	t.Cleanup(func() { keepFiles(t, dir) })
	return &crew{t: t, dir: dir, source: proc.Users(t, dir, n), out: filepath.Join(dir, "out"), users: n}
}

// keepFiles copies the files of a job that failed to where -keep says.
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

// start starts a process of the crew.
func (c *crew) start(label, program string, args []string, env ...string) *proc.Process {
	c.t.Helper()
	var prefix []string
	if c.prefix != nil {
		prefix = c.prefix(label)
	}
	env = append([]string{"NATS_URL=" + c.url, "JOB=chaos", "HTTP_ADDR=", "LOG_LEVEL=debug", "LOG_FORMAT=json"}, env...)
	return proc.Start(c.t, proc.Spec{Dir: c.dir, Label: label, Program: program, Prefix: prefix, Args: args, Env: env})
}

// startNATS starts one server on loopback, with these lines of configuration.
func (c *crew) startNATS(lines ...string) {
	c.t.Helper()
	server, url := proc.NATS(c.t, c.dir, "-c", c.config(lines...))
	server.Await("Server is ready")
	c.nats, c.url = []*proc.Process{server}, url
}

// config writes a configuration of nats-server; its flags come on top of it.
func (c *crew) config(lines ...string) (path string) {
	c.t.Helper()
	path = filepath.Join(c.dir, "nats.conf")
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		c.t.Fatal(err)
	}
	return path
}

func (c *crew) startSaver(env ...string) *proc.Process {
	c.t.Helper()
	c.saver = c.start("saver", "saver", nil, append([]string{"SINK=" + c.out}, env...)...)
	return c.saver
}

func (c *crew) startFetcher(env ...string) *proc.Process {
	c.t.Helper()
	c.fetcher = c.newFetcher("fetcher", env...)
	return c.fetcher
}

// newFetcher starts a fetcher beside the one that the crew has.
func (c *crew) newFetcher(label string, env ...string) *proc.Process {
	c.t.Helper()
	settings := []string{"SOURCE=" + c.source, fmt.Sprintf("CHUNK_SIZE=%d", chunkSize), "ON_DONE=exit"}
	return c.start(label, "fetcher", nil, append(settings, env...)...)
}

// addMapper starts a mapper that takes duration for a chunk.
func (c *crew) addMapper(duration string, env ...string) *proc.Process {
	c.t.Helper()
	label := fmt.Sprintf("mapper-%d", len(c.mappers))
	settings := []string{"STOP_TIMEOUT=2s", "TRANSFORM=users?duration=" + duration, "MAPPER_NAME=" + label}
	m := c.start(label, "mapper", nil, append(settings, env...)...)
	c.mappers = append(c.mappers, m)
	return m
}

// startAll starts saver, fetcher and n mappers of two workers, which take
// duration for a chunk.
func (c *crew) startAll(n int, duration string) {
	c.t.Helper()
	c.startSaver()
	c.startFetcher()
	for range n {
		c.addMapper(duration, "WORKERS=2")
	}
}

// all is every process of the crew.
func (c *crew) all() []*proc.Process {
	return slices.Concat(c.nats, []*proc.Process{c.saver, c.fetcher}, c.mappers)
}

// done says whether the job is done, and fails the test if somebody has ended
// by himself. It must be called while everybody should run.
func (c *crew) done() bool {
	c.t.Helper()
	done := false
	for _, p := range c.all() {
		done = c.ended(p) || done
	}
	return done
}

// ended says whether p, which should run, is the fetcher of a job that is
// done. It fails the test if p has ended otherwise.
func (c *crew) ended(p *proc.Process) bool {
	c.t.Helper()
	select {
	case <-p.Exited():
		if p != c.fetcher || p.Code() != 0 {
			c.t.Fatalf("%s has ended by itself, exit code %d", p.Label, p.Code())
		}
		return true
	default:
		return false
	}
}

// kill kills a process that should run until now.
func (c *crew) kill(p *proc.Process) {
	c.t.Helper()
	c.ended(p)
	p.Kill()
}

// end ends a process politely, which it must obey whatever else is broken.
func (c *crew) end(p *proc.Process) {
	c.t.Helper()
	if c.ended(p) {
		return
	}
	p.Signal(syscall.SIGTERM)
	switch code := p.Exit(); {
	case code == 0:
	case code == -1: // it had not come to hear signals yet
	case code == 130 && p == c.fetcher && strings.HasSuffix(p.Log(), "start it again to go on where it was\n"):
	case code == 1 && slices.Contains(c.nats, p): // that is how nats-server ends
	default:
		c.t.Errorf("%s: exit code %d after SIGTERM", p.Label, code)
	}
}

// finish waits for the end of the job, everything being healed, and holds
// what came of it against the promise.
func (c *crew) finish() {
	c.t.Helper()
	healed := time.Now()
	if code := c.fetcher.Exit(); code != 0 {
		c.t.Fatalf("%s: exit code %d, want 0", c.fetcher.Label, code)
	}
	c.t.Logf("the job ended %s after everything was healed", time.Since(healed).Round(time.Millisecond))
	c.done()
	c.saver.Signal(syscall.SIGTERM)
	if code := c.saver.Exit(); code != 0 {
		c.t.Errorf("saver: exit code %d after SIGTERM, want 0", code)
	}
	c.checkSink()
	c.checkWords()
}
