//go:build bench

package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"
	"time"

	"github.com/chunkline/chunkline/internal/source"
	"github.com/chunkline/chunkline/test/proc"
)

// What plays the same part on both sides is called the same in the report.
const (
	labelServer = "nats-server"
	labelReader = "fetcher / publisher"
	labelMapper = "mapper / forwarder"
	labelWriter = "saver / receiver"
)

// part is a process, and what it plays.
type part struct {
	*proc.Process

	plays string
}

// side is one of the two contestants.
type side struct {
	name string
	// run starts the roles, waits until the result is durable and returns them
	// and the result's file.
	run func(t *testing.T, j *proc.Job) (parts []part, output string)
	// ordered: the output has the order of the input.
	ordered bool
}

var (
	chunklineSide = side{name: "chunkline", run: runChunkline, ordered: true}
	bareSide      = side{name: "bare", run: runBare}
)

// measure runs one side once, in a folder and with a nats-server of its own.
func measure(t *testing.T, s side, input string, want fingerprint) measured {
	t.Helper()
	j := proc.NewJob(t, "bench")
	j.Source = input
	server := j.NATS()
	server.Await("Server is ready")
	begin := time.Now()
	parts, output := s.run(t, j)
	took := time.Since(begin)
	for _, p := range parts {
		p.Signal(syscall.SIGINT) // it may have ended
		if code := p.Exit(); code != 0 {
			t.Fatalf("%s: exit code %d: %s", p.Label, code, p.Tail())
		}
	}
	server.Signal(syscall.SIGINT)
	server.Exit()
	got, err := fingerprintOf(output)
	if err == nil {
		err = want.check(got, s.ordered)
	}
	if err != nil {
		t.Fatalf("the result is wrong: %v", err)
	}
	return newMeasured(took, append(parts, part{server, labelServer}))
}

var outputField = regexp.MustCompile(`"output":"([^"]+)"`)

// runChunkline runs the three roles as they are.
func runChunkline(t *testing.T, j *proc.Job) (parts []part, output string) {
	t.Helper()
	saver := j.Saver()
	saver.Await("saver serves")
	fetcher := j.Fetcher("ON_DONE=exit")
	fetcher.Await("fetcher serves")
	parts = append(parts, part{fetcher, labelReader})
	for i := range *mappers {
		parts = append(parts, part{j.Mapper(fmt.Sprint("mapper-", i), "users", "WORKERS=1"), labelMapper})
	}
	if code := fetcher.Exit(); code != 0 {
		t.Fatalf("fetcher: exit code %d: %s", code, fetcher.Tail())
	}
	found := outputField.FindStringSubmatch(fetcher.Log())
	if found == nil {
		t.Fatalf("the fetcher does not say where the output is: %s", fetcher.Tail())
	}
	return append(parts, part{saver, labelWriter}), found[1]
}

// runBare runs this program in its other roles.
func runBare(t *testing.T, j *proc.Job) (parts []part, output string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	role := func(label, name, file string) *proc.Process {
		return proc.Start(t, proc.Spec{Dir: j.Dir, Label: label, Program: self, Args: []string{"bare", name, j.URL, file}})
	}
	output = filepath.Join(j.Dir, "received.jsonl")
	receiver := role("receiver", roleReceiver, output)
	for i := range *mappers {
		parts = append(parts, part{role(fmt.Sprint("forwarder-", i), roleForwarder, ""), labelMapper})
	}
	parts = append(parts, part{receiver, labelWriter})
	for _, p := range parts { // what is published before they listen is lost
		p.Await(readyText)
	}
	parts = append(parts, part{role("publisher", rolePublisher, j.Source), labelReader})
	if code := receiver.Exit(); code != 0 {
		t.Fatalf("receiver: exit code %d: %s", code, receiver.Tail())
	}
	return parts, output
}

// generate writes n users.
func generate(t *testing.T, path string, n int) {
	t.Helper()
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	err = source.WriteUsers(t.Context(), file, n, 1)
	if e := file.Close(); err == nil {
		err = e
	}
	if err != nil {
		t.Fatal(err)
	}
}
