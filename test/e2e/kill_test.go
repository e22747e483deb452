package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"
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
	source := users(t, dir, killUsers)
	nats, url := natsServer(t, dir)
	common := []string{"NATS_URL=" + url, "JOB=kill", "HTTP_ADDR="}
	out := filepath.Join(dir, "out")
	saver := program(t, dir, "saver", "saver", nil, append(common, "SINK="+out)...)
	fetcher := program(t, dir, "fetcher", "fetcher", nil, append(common, "SOURCE="+source, "ON_DONE=exit")...)
	processes := []*process{nats, saver, fetcher}
	for i := range killMappers {
		processes = append(processes, program(t, dir, fmt.Sprintf("mapper-%d", i), "mapper", nil,
			append(common, "TRANSFORM=users?duration=40ms", "WORKERS=1")...))
	}

	// Each process but eight of the mappers is killed once, at a random moment
	// of the job, in a random order.
	victims := []*process{nats, saver, fetcher, processes[3], processes[4]}
	random.Shuffle(len(victims), func(i, j int) { victims[i], victims[j] = victims[j], victims[i] })
	saver.await("job claimed")
	for _, victim := range victims {
		pause := time.Duration(200+random.IntN(800)) * time.Millisecond
		<-time.After(pause) // the moment is what the seed chooses
		t.Logf("after %s: kill %s", pause, filepath.Base(victim.log))
		victim.kill()
		victim.start()
	}
	if code := fetcher.exit(); code != 0 {
		t.Errorf("fetcher exit code %d, want 0: %s", code, fetcher.tail())
	}
	saver.kill() // verify wants the folder for itself
	checkUsers(t, source, out)
	stdout, stderr, code := chunkline(t, nil, "verify", "-o", out, "--json")
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

// checkUsers compares the output file with the users, one by one and in order,
// with code of its own.
func checkUsers(t *testing.T, source, out string) {
	t.Helper()
	in, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	output, err := os.ReadFile(filepath.Join(out, "output.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	wants, gots := bytes.Split(in, []byte{'\n'}), bytes.Split(output, []byte{'\n'})
	if len(wants) != len(gots) {
		t.Fatalf("%d lines of output, want %d", len(gots)-1, len(wants)-1)
	}
	for i := range wants[:len(wants)-1] {
		var user struct{ UUID, FN, LN string }
		var named struct{ ID, Name string }
		if err := json.Unmarshal(wants[i], &user); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(gots[i], &named); err != nil {
			t.Fatalf("line %d of output: %v", i+1, err)
		}
		if named.ID != user.UUID || named.Name != user.FN+" "+user.LN {
			t.Fatalf("line %d of output is %s, made from %s", i+1, gots[i], wants[i])
		}
	}
}
