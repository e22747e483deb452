package e2e

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/chunkline/chunkline/test/proc"
)

// TestKill runs a job in separate processes and kills each of the five kinds
// of them with SIGKILL at a random moment, the nats-server included, and
// starts it again. Every object must be in the sink exactly once, and the
// fetcher must end with 0.
func TestKill(t *testing.T) {
	for i := range *seeds {
		seed := *firstSeed + int64(i)
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) { killEveryone(t, uint64(seed)) })
	}
}

const (
	killUsers   = 100_000
	killMappers = 10
)

func killEveryone(t *testing.T, seed uint64) {
	dir := t.TempDir()
	random := rand.New(rand.NewPCG(seed, 0))
	source := proc.Users(t, dir, killUsers)
	nats, url := proc.NATS(t, dir)
	out := filepath.Join(dir, "out")
	start := func(label, program string, env ...string) *proc.Process {
		return proc.Start(t, proc.Spec{Dir: dir, Label: label, Program: program, Env: append(env, "NATS_URL="+url, "JOB=kill", "HTTP_ADDR=")})
	}
	saver := start("saver", "saver", "SINK="+out)
	fetcher := start("fetcher", "fetcher", "SOURCE="+source, "ON_DONE=exit")
	processes := []*proc.Process{nats, saver, fetcher}
	for i := range killMappers {
		processes = append(processes, start(fmt.Sprintf("mapper-%d", i), "mapper", "TRANSFORM=users?duration=40ms", "WORKERS=1"))
	}

	// Each process but eight of the mappers is killed once, at a random moment
	// of the job, in a random order.
	victims := []*proc.Process{nats, saver, fetcher, processes[3], processes[4]}
	random.Shuffle(len(victims), func(i, j int) { victims[i], victims[j] = victims[j], victims[i] })
	saver.Await("job claimed")
	for _, victim := range victims {
		pause := time.Duration(200+random.IntN(800)) * time.Millisecond
		<-time.After(pause) // the moment is what the seed chooses
		t.Logf("after %s: kill %s", pause, victim.Label)
		victim.Kill()
		victim.Start()
	}
	if code := fetcher.Exit(); code != 0 {
		t.Errorf("fetcher exit code %d, want 0: %s", code, fetcher.Tail())
	}
	saver.Kill() // verify wants the folder for itself
	proc.Check(t, source, out)
	stdout, stderr, code := proc.Run(t, nil, "chunkline", "verify", "-o", out, "--json")
	if code != 0 {
		t.Fatalf("verify: exit %d\n%s%s", code, stdout, stderr)
	}
	var report struct{ Objects, Outputs, Dead int }
	if err := json.Unmarshal([]byte(stdout), &report); err != nil {
		t.Fatal(err)
	}
	if report.Objects != killUsers || report.Outputs != killUsers || report.Dead != 0 {
		t.Errorf("verify counted %+v, want %d objects and outputs, none dead", report, killUsers)
	}
}
