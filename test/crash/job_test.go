//go:build long

package crash

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chunkline/chunkline/test/proc"
)

// script says where the processes of a job die.
type script struct {
	// lives lists the failpoints of a process, one for each life, as name:hit; then comes a life
	// without one. The processes are saver, fetcher, and the mappers first and second.
	lives  map[string][]string
	env    map[string][]string // settings of a process, beside the usual ones
	alone  bool                // the second mapper starts only after the first one's last death
	missed bool                // the first mapper restarts only after the fetcher has noticed its death
	dead   string              // the checker's -want-dead; empty: the objects that cannot be mapped
}

// job is one run of a script, or several over the same folder.
type job struct {
	*proc.Job

	dead   string // the ordinals of the objects that cannot be mapped
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
	lives  []string // still to come
	died   []string // failpoints it was killed at
	served int      // lives in which it logged that it is ready
}

func newJob(t *testing.T, w *world) *job {
	t.Helper()
	j := &job{Job: proc.NewJob(t, fmt.Sprintf("crash-%d", w.jobs.Add(1))), dead: w.dead}
	j.URL, j.Source, j.Objects = w.nats, w.source, objects
	return j
}

// run runs the job to its end and checks what it left. It returns where each
// process died.
func (j *job) run(s script) map[string][]string {
	j.T.Helper()
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
	for _, name := range []string{"first", "second", "saver"} { // mappers first: they save what they hold
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

// start starts the next life of a process.
func (j *job) start(name string) {
	j.T.Helper()
	m := j.members[name]
	if m == nil {
		m = &member{name: name, lives: slices.Clone(j.script.lives[name])}
		j.members[name] = m
	}
	failpoint := "CHUNKLINE_FAILPOINT="
	if len(m.lives) > 0 {
		failpoint += m.lives[0]
		m.lives = m.lives[1:]
	}
	if m.Process == nil {
		env := slices.Concat(j.settings(name), j.script.env[name], []string{failpoint})
		m.Process = j.Start(fmt.Sprintf("%s-%d", name, j.runs), program(name), env...)
	} else {
		m.served = strings.Count(m.Log(), ready(name))
		m.Env[len(m.Env)-1] = failpoint
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

// ready is what a process logs; from then on SIGTERM ends it in order.
func ready(name string) string {
	switch program(name) {
	case "mapper":
		return "mapper asks for work"
	default:
		return name + " serves"
	}
}

func (j *job) settings(name string) []string {
	switch program(name) {
	case "saver":
		return []string{"SINK=" + j.Out}
	case "fetcher":
		return []string{"SOURCE=" + j.Source, fmt.Sprintf("CHUNK_SIZE=%d", chunkSize), "ON_DONE=exit"}
	default:
		return []string{"TRANSFORM=users?duration=10ms", "WORKERS=2", "MAPPER_NAME=" + name}
	}
}

// wait restarts processes that die at a failpoint, until the fetcher has ended.
func (j *job) wait() {
	j.T.Helper()
	patience := time.After(proc.Patience)
	for {
		select {
		case m := <-j.ended:
			switch {
			case j.fell(m):
				if j.script.missed && m.name == "first" {
					j.awaitMissed(len(m.died))
				}
				j.start(m.name)
				if j.members["second"] == nil && len(j.members["first"].died) == len(j.script.lives["first"]) {
					j.start("second")
				}
			case m.name == "fetcher" && m.Code() == 4: // done, with dead letters
				return
			default:
				j.T.Fatalf("%s ended with %d in the middle of the job: %s", m.name, m.Code(), m.Tail())
			}
		case <-patience:
			j.T.Fatalf("the job does not end; fetcher: %s", j.members["fetcher"].Tail())
		}
	}
}

// awaitMissed waits until the fetcher has noticed so many deaths of mappers.
func (j *job) awaitMissed(deaths int) {
	j.T.Helper()
	proc.Eventually(j.T, "the fetcher to miss the mapper", func() bool {
		log := j.members["fetcher"].Log()
		return strings.Count(log, "mapper has no connection any more")+strings.Count(log, "mapper fell silent") >= deaths
	})
}

// fell reports whether a process that has ended was killed at a failpoint.
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
		j.T.Errorf("%s was to be killed at %s and ended with %d", m.name, marks[len(m.died)], m.Code())
	}
	m.died = marks
	j.seen = append(j.seen, j.outputSize())
	return true
}

// stop ends a process with SIGTERM. If it dies at a failpoint meanwhile, stop starts and stops it
// again.
func (j *job) stop(m *member) {
	j.T.Helper()
	for {
		proc.Eventually(j.T, m.name+" to be ready or dead", func() bool {
			return m.Ended() || strings.Count(m.Log(), ready(m.name)) > m.served
		})
		m.Signal(syscall.SIGTERM)
		code := m.Exit()
		if j.fell(m) {
			j.start(m.name)
			continue
		}
		if code != 0 {
			j.T.Errorf("%s ended with %d after SIGTERM: %s", m.name, code, m.Tail())
		}
		return
	}
}

// check compares the job's result with the source.
func (j *job) check() {
	j.T.Helper()
	dead := j.script.dead
	if dead == "" {
		dead = j.dead
	}
	j.Verify(dead)
	// The output is never partial: it is as before the run, or complete.
	for _, size := range j.seen {
		if whole := j.outputSize(); size != j.seen[0] && size != whole {
			j.T.Errorf("when a process died the output had %d bytes of %d", size, whole)
		}
	}
}

// outputSize returns -1 if there is no output yet.
func (j *job) outputSize() int64 {
	info, err := os.Stat(j.Output())
	if errors.Is(err, fs.ErrNotExist) {
		return -1
	}
	if err != nil {
		j.T.Fatal(err)
	}
	return info.Size()
}
