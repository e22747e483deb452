package crash

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chunkline/chunkline/test/proc"
)

// script says where the processes of a job die.
type script struct {
	// lives has the failpoints of a process's lives, one after the other, as
	// name:hit; the life after them has none. The processes are saver,
	// fetcher, first and second, which are mappers.
	lives map[string][]string
	env   map[string][]string // settings of a process, beside the usual ones
	alone bool                // the second mapper comes only when the first has died for the last time
	dead  string              // the checker's -want-dead; empty: the objects that cannot be mapped
}

// job is one run of a script.
type job struct {
	t      *testing.T
	world  *world
	name   string
	dir    string
	script script
	runs   int

	members map[string]*member
	ended   chan *member
	seen    []int64 // sizes of the output when the run began and at each death
}

// member is one process of a job, in all its lives.
type member struct {
	*proc.Process

	name   string
	env    []string
	lives  []string // still to come
	died   []string // failpoints it was killed at
	served int      // lives in which it said that it is ready
}

func newJob(t *testing.T, w *world) *job {
	t.Helper()
	return &job{t: t, world: w, name: fmt.Sprintf("crash-%d", w.jobs.Add(1)), dir: t.TempDir()}
}

func (j *job) out() string    { return filepath.Join(j.dir, "out") }
func (j *job) output() string { return filepath.Join(j.out(), "output.jsonl") }

// run runs the job to its end and checks what it left. It returns where each
// process died.
func (j *job) run(s script) map[string][]string {
	j.t.Helper()
	j.runs++
	j.script, j.members, j.ended = s, map[string]*member{}, make(chan *member, 64)
	j.seen = []int64{j.outputSize()}
	for _, name := range []string{"saver", "fetcher", "first"} {
		j.start(name)
	}
	if !s.alone {
		j.start("second")
	}
	j.wait()
	for _, name := range []string{"first", "second", "saver"} { // what a mapper holds, it wants to save
		if m := j.members[name]; m != nil {
			j.stop(m)
		}
	}
	j.check()
	died := map[string][]string{}
	for name, m := range j.members {
		died[name] = m.died
	}
	return died
}

// start starts a process in its next life, the first or another one.
func (j *job) start(name string) {
	j.t.Helper()
	m := j.members[name]
	if m == nil {
		m = &member{name: name, lives: slices.Clone(j.script.lives[name])}
		m.env = append(j.settings(name), j.script.env[name]...)
		j.members[name] = m
	}
	env := slices.Clone(m.env)
	if len(m.lives) > 0 {
		env = append(env, "CHUNKLINE_FAILPOINT="+m.lives[0])
		m.lives = m.lives[1:]
	}
	if m.Process == nil {
		m.Process = proc.Start(j.t, proc.Spec{Dir: j.dir, Label: fmt.Sprintf("%s-%d", name, j.runs), Program: program(name), Env: env})
	} else {
		m.served = strings.Count(m.Log(), ready(name))
		m.Env = env
		m.Start()
	}
	exited := m.Exited()
	go func() { <-exited; j.ended <- m }() // ends with the process
}

func program(name string) string {
	if name == "first" || name == "second" {
		return "mapper"
	}
	return name
}

// ready is what a process logs when SIGTERM makes it end in order.
func ready(name string) string {
	switch program(name) {
	case "mapper":
		return "mapper asks for work"
	default:
		return name + " serves"
	}
}

func (j *job) settings(name string) []string {
	common := []string{"NATS_URL=" + j.world.nats, "JOB=" + j.name, "HTTP_ADDR="}
	switch program(name) {
	case "saver":
		return append(common, "SINK="+j.out())
	case "fetcher":
		return append(common, "SOURCE="+j.world.source, fmt.Sprintf("CHUNK_SIZE=%d", chunkSize), "ON_DONE=exit")
	default:
		return append(common, "TRANSFORM=users?duration=10ms", "WORKERS=2", "MAPPER_NAME="+name)
	}
}

// wait starts again what dies at a failpoint, until the fetcher has ended.
func (j *job) wait() {
	j.t.Helper()
	patience := time.After(proc.Patience)
	for {
		select {
		case m := <-j.ended:
			switch {
			case j.fell(m):
				j.start(m.name)
				if j.members["second"] == nil && len(j.members["first"].died) == len(j.script.lives["first"]) {
					j.start("second")
				}
			case m.name == "fetcher" && m.Code() == 4: // done, with dead letters
				return
			default:
				j.t.Fatalf("%s ended with %d in the middle of the job: %s", m.name, m.Code(), m.Tail())
			}
		case <-patience:
			j.t.Fatalf("the job does not end; fetcher: %s", j.members["fetcher"].Tail())
		}
	}
}

// fell says whether a process that has ended was killed at a failpoint.
func (j *job) fell(m *member) bool {
	var marks []string
	for line := range strings.Lines(m.Log()) {
		if at, is := strings.CutPrefix(line, "failpoint "); is {
			marks = append(marks, strings.TrimSpace(at))
		}
	}
	if len(marks) == len(m.died) {
		return false
	}
	if m.Code() != -1 {
		j.t.Errorf("%s was to be killed at %s and ended with %d", m.name, marks[len(m.died)], m.Code())
	}
	m.died = marks
	j.seen = append(j.seen, j.outputSize())
	return true
}

// stop ends a process as an operator does. If it dies of a failpoint on the
// way, it is started and stopped again.
func (j *job) stop(m *member) {
	j.t.Helper()
	for {
		exited := m.Exited()
		ctx, cancel := context.WithTimeout(j.t.Context(), proc.Patience)
		proc.Eventually(ctx, j.t, m.name+" to be ready or dead", func() bool {
			select {
			case <-exited:
				return true
			default:
				return strings.Count(m.Log(), ready(m.name)) > m.served
			}
		})
		cancel()
		m.Signal(syscall.SIGTERM)
		code := m.Exit()
		if j.fell(m) {
			j.start(m.name)
			continue
		}
		if code != 0 {
			j.t.Errorf("%s ended with %d after SIGTERM: %s", m.name, code, m.Tail())
		}
		return
	}
}

// check holds what the job left against the source: by a checker that shares
// no code with the product, and by the product's own verify.
func (j *job) check() {
	j.t.Helper()
	dead := j.script.dead
	if dead == "" {
		dead = j.world.dead
	}
	proc.Check(j.t, j.world.source, j.out(), "-want-dead", dead)
	if stdout, stderr, code := proc.Run(j.t, nil, "chunkline", "verify", "-o", j.out()); code != 0 {
		j.t.Errorf("verify: exit %d\n%s%s", code, stdout, stderr)
	}
	// The output is never there in part: it was as the run found it, or whole.
	for _, size := range j.seen {
		if whole := j.outputSize(); size != j.seen[0] && size != whole {
			j.t.Errorf("when a process died the output had %d bytes of %d", size, whole)
		}
	}
}

// outputSize is -1 if there is no output yet.
func (j *job) outputSize() int64 {
	info, err := os.Stat(j.output())
	if errors.Is(err, fs.ErrNotExist) {
		return -1
	}
	if err != nil {
		j.t.Fatal(err)
	}
	return info.Size()
}
