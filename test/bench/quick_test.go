//go:build bench

package bench

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chunkline/chunkline/test/bench/corenats"
	"github.com/chunkline/chunkline/test/proc"
)

// The report uses one name for the same part in several rows.
const (
	partServer = "nats-server"
	partReader = "fetcher / publisher"
	partMapper = "mapper / forwarder"
	partWriter = "saver / receiver"
)

// part is a process and its part in the report.
type part struct {
	*proc.Process

	plays string
}

// separate measures processes around a nats-server of their own. Run starts them,
// waits until the result is durable and returns the result's file. The clock starts
// before run, or when run calls ready last.
func separate(t *testing.T, in *input, mapped, ordered bool, serverArgs []string, run func(j *proc.Job, ready func()) (parts []part, output string)) figures {
	t.Helper()
	j := proc.NewJob(t, "bench")
	j.Source = in.path
	server := j.NATS(serverArgs...)
	server.Await("Server is ready")
	begin := time.Now()
	parts, output := run(j, func() { begin = time.Now() })
	took := time.Since(begin)
	for _, p := range parts {
		p.Signal(syscall.SIGINT) // it may have ended
		if code := p.Exit(); code != 0 {
			t.Fatalf("%s: exit code %d: %s", p.Label, code, p.Tail())
		}
	}
	server.Signal(syscall.SIGINT)
	server.Exit()
	in.check(t, output, mapped, ordered)
	return used(took, append(parts, part{server, partServer}))
}

// floor is the work without chunkline, in separate processes.
type floor struct {
	forwarders int // 0: 2
	window     int // 0: 64
	identity   bool
	own        bool // chunkline's parser
	late       bool // one sync, at the end
	stream     bool // JetStream

	wait    time.Duration // of a forwarder for each chunk; then the clock starts when all are up
	objects int           // 0: as many as quick work has
}

func (f floor) measure(t *testing.T, b *bench) figures {
	in := b.users(t, cmp.Or(f.objects, *objects))
	var serverArgs []string
	prefix := ""
	if f.stream {
		serverArgs, prefix = []string{"-js", "-sd", t.TempDir()}, "stream-"
	}
	return separate(t, in, !f.identity, false, serverArgs, func(j *proc.Job, ready func()) (parts []part, output string) {
		start := func(label, role string, flags ...string) *proc.Process {
			return proc.Start(t, proc.Spec{Dir: j.Dir, Label: label, Program: b.floor, Args: append([]string{prefix + role, "-url", j.URL}, flags...)})
		}
		output = filepath.Join(j.Dir, "received.jsonl")
		receiver := start("receiver", "receive", "-out", output, fmt.Sprint("-late=", f.late))
		receiver.Await(corenats.Ready) // the stream exists
		for i := range cmp.Or(f.forwarders, 2) {
			label := fmt.Sprint("forwarder-", i)
			forwarder := part{plays: partMapper}
			if f.own {
				self, err := os.Executable()
				if err != nil {
					t.Fatal(err)
				}
				forwarder.Process = proc.Start(t, proc.Spec{Dir: j.Dir, Label: label, Program: self, Args: []string{"forward", j.URL}})
			} else {
				forwarder.Process = start(label, "forward", fmt.Sprint("-map=", !f.identity), fmt.Sprint("-each=", f.wait))
			}
			parts = append(parts, forwarder)
		}
		for _, p := range parts { // anything published before they listen is lost
			p.Await(corenats.Ready)
		}
		if f.wait > 0 {
			ready()
		}
		publish := []string{"-in", in.path}
		if f.window > 0 {
			publish = append(publish, "-window", fmt.Sprint(f.window))
		}
		parts = append(parts, part{start("publisher", "publish", publish...), partReader})
		if code := receiver.Exit(); code != 0 {
			t.Fatalf("receiver: exit code %d: %s", code, receiver.Tail())
		}
		return append(parts, part{receiver, partWriter}), output
	})
}

// job is a job of chunkline in separate processes.
type job struct {
	mappers   int
	transform string // empty: users
}

var outputField = regexp.MustCompile(`"output":"([^"]+)"`)

func (q job) measure(t *testing.T, b *bench) figures {
	in := b.users(t, *objects)
	transform := q.transform
	if transform == "" {
		transform = "users"
	}
	return separate(t, in, transform == "users", true, nil, func(j *proc.Job, _ func()) (parts []part, output string) {
		saver := j.Saver()
		saver.Await("saver serves")
		fetcher := j.Fetcher("ON_DONE=exit")
		fetcher.Await("fetcher serves")
		parts = append(parts, part{fetcher, partReader})
		for i := range q.mappers {
			parts = append(parts, part{j.Mapper(fmt.Sprint("mapper-", i), transform, "WORKERS=1"), partMapper})
		}
		return append(parts, part{saver, partWriter}), finished(t, fetcher)
	})
}

// finished waits until the fetcher exits with a finished job, and returns the
// file of the outputs.
func finished(t *testing.T, fetcher *proc.Process) (output string) {
	t.Helper()
	if code := fetcher.Exit(); code != 0 {
		t.Fatalf("fetcher: exit code %d: %s", code, fetcher.Tail())
	}
	found := outputField.FindStringSubmatch(fetcher.Log())
	if found == nil {
		t.Fatalf("the fetcher did not log where the output is: %s", fetcher.Tail())
	}
	return found[1]
}

// program is one process that does all the work.
type program struct {
	own  bool     // the floor's "plain"
	jq   bool     // jq
	args []string // else chunkline run with these
}

func (p program) measure(t *testing.T, b *bench) figures {
	in := b.users(t, *objects)
	dir := t.TempDir()
	output := filepath.Join(dir, "out.jsonl")
	spec := proc.Spec{Dir: dir, Label: "program", Program: "chunkline", Args: append([]string{"run", "-i", in.path, "-o", output}, p.args...)}
	switch {
	case p.own:
		spec.Program, spec.Args = b.floor, []string{"plain", "-in", in.path, "-out", output}
	case p.jq:
		found, err := exec.LookPath("jq")
		if err != nil {
			return nil
		}
		spec.Program, spec.Args = "/bin/sh", []string{"-c", `exec "$0" -c "$1" "$2" >"$3"`, found, jqProgram, in.path, output}
	}
	begin := time.Now()
	process := proc.Start(t, spec)
	code := process.Exit()
	took := time.Since(begin)
	if code != 0 {
		t.Fatalf("%s %s: exit code %d: %s", spec.Program, strings.Join(spec.Args, " "), code, process.Tail())
	}
	in.check(t, output, true, true)
	return used(took, []part{{process, partReader}})
}
