//go:build long

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

// A job is the processes that run it. The tests inject faults and end the processes;
// only the fetcher may exit by itself, when the job is done.
type job struct {
	*proc.Job

	nats    []*proc.Process
	saver   *proc.Process
	fetcher *proc.Process
	mappers []*proc.Process
}

// chunkSize is small, so that few users make many chunks for faults to interrupt.
const chunkSize = 25

// newJob prepares a job of n users, but starts no process.
func newJob(t *testing.T, n int) *job {
	t.Helper()
	j := &job{Job: proc.NewJob(t, "chaos")}
	j.Env = append(j.Env, "LOG_LEVEL=debug")
	j.Users(n)
	t.Cleanup(func() { keepFiles(t, j.Dir) })
	return j
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
func (j *job) startNATS(lines ...string) {
	j.T.Helper()
	server := j.NATS("-c", j.config(lines...))
	server.Await("Server is ready")
	j.nats = []*proc.Process{server}
}

// config writes a configuration file of nats-server; flags may add to it.
func (j *job) config(lines ...string) (path string) {
	j.T.Helper()
	path = filepath.Join(j.Dir, "nats.conf")
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		j.T.Fatal(err)
	}
	return path
}

func (j *job) startSaver(env ...string) *proc.Process {
	j.T.Helper()
	j.saver = j.Saver(env...)
	return j.saver
}

func (j *job) startFetcher(env ...string) *proc.Process {
	j.T.Helper()
	j.fetcher = j.newFetcher("fetcher", env...)
	return j.fetcher
}

// newFetcher starts a fetcher in addition to the job's.
func (j *job) newFetcher(label string, env ...string) *proc.Process {
	j.T.Helper()
	return j.NextFetcher(label, append([]string{fmt.Sprintf("CHUNK_SIZE=%d", chunkSize), "ON_DONE=exit"}, env...)...)
}

// addMapper starts a mapper that takes duration for a chunk.
func (j *job) addMapper(duration string, env ...string) *proc.Process {
	j.T.Helper()
	return j.addMapperOf("users?duration="+duration, env...)
}

func (j *job) addMapperOf(transform string, env ...string) *proc.Process {
	j.T.Helper()
	m := j.Mapper(fmt.Sprintf("mapper-%d", len(j.mappers)), transform, append([]string{"STOP_TIMEOUT=2s"}, env...)...)
	j.mappers = append(j.mappers, m)
	return m
}

// hurry adds a fast mapper that soon finishes the job. The others may be so slow that
// the job cannot end before the last fault.
func (j *job) hurry() {
	j.T.Helper()
	j.addMapper("0s", "WORKERS=2")
}

// startAll starts saver, fetcher and n mappers with two workers each, which take
// duration for a chunk.
func (j *job) startAll(n int, duration string) {
	j.T.Helper()
	j.startSaver()
	j.startFetcher()
	for range n {
		j.addMapper(duration, "WORKERS=2")
	}
}

// all returns every process of the job.
func (j *job) all() []*proc.Process {
	return slices.Concat(j.nats, []*proc.Process{j.saver, j.fetcher}, j.mappers)
}

// done reports whether the job is done, and fails the test if a process has exited
// by itself. Call it only while all processes should run.
func (j *job) done() bool {
	j.T.Helper()
	done := false
	for _, p := range j.all() {
		done = j.ended(p) || done
	}
	return done
}

// ended reports whether p is the fetcher and has exited because the job is done. It
// fails the test if p has exited otherwise. Call it only while p should run.
func (j *job) ended(p *proc.Process) bool {
	j.T.Helper()
	if !p.Ended() {
		return false
	}
	if p != j.fetcher || p.Code() != 0 {
		j.T.Fatalf("%s ended by itself with exit code %d", p.Label, p.Code())
	}
	return true
}

// kill kills a process, which should still run.
func (j *job) kill(p *proc.Process) {
	j.T.Helper()
	j.ended(p)
	p.Kill()
}

// end sends SIGTERM to a process, which must obey whatever else is broken.
func (j *job) end(p *proc.Process) {
	j.T.Helper()
	if j.ended(p) {
		return
	}
	p.Signal(syscall.SIGTERM)
	switch code := p.Exit(); {
	case code == 0:
	case code == -1: // it did not handle signals yet
	case code == 130 && p == j.fetcher && strings.HasSuffix(p.Log(), "start it again to continue where it stopped\n"):
	case code == 1 && slices.Contains(j.nats, p): // nats-server exits with 1
	default:
		j.T.Errorf("%s: exit code %d after SIGTERM", p.Label, code)
	}
}

// finish waits for the end of the job after the last fault, and checks the output
// and the logs.
func (j *job) finish() {
	j.T.Helper()
	healed := time.Now()
	if code := j.fetcher.Exit(); code != 0 {
		j.T.Fatalf("%s: exit code %d, want 0", j.fetcher.Label, code)
	}
	j.T.Logf("the job ended %s after everything was healed", time.Since(healed).Round(time.Millisecond))
	j.done()
	proc.End(j.T, j.saver)
	j.Verify("")
	j.checkLogs()
}
