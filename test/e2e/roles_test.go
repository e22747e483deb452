package e2e

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/test/loopback"
	"github.com/chunkline/chunkline/test/proc"
)

// newJob starts a nats-server for a job of n users.
func newJob(t *testing.T, n int) *proc.Job {
	t.Helper()
	j := proc.NewJob(t, "e2e")
	j.Users(n)
	j.NATS()
	return j
}

// TestAwayNATS: without NATS the roles wait, log the outage once, and are alive but not
// ready; they go on when it is up. The saver offers the result for download once the job is done.
func TestAwayNATS(t *testing.T) {
	t.Parallel()
	const away = "no connection to NATS"
	address := loopback.Address()
	j := proc.NewJob(t, "away")
	j.Users(1000)
	j.URL = "nats://" + address
	saver, fetcher, mapper := j.Saver(proc.HTTP()), j.Fetcher("ON_DONE=stay", proc.HTTP()), j.Mapper("mapper", "users", proc.HTTP())
	roles := []*proc.Process{fetcher, mapper, saver}
	for _, p := range roles {
		p.Await(away)
	}
	for _, p := range roles {
		p.AwaitCode("/healthz", http.StatusOK)
		p.AwaitCode("/readyz", http.StatusServiceUnavailable)
		p.AwaitCode("/version", http.StatusOK)
	}
	saver.AwaitCode("/output", http.StatusConflict)
	j.Server("nats-server", address)
	fetcher.Await("job done")
	result := filepath.Join(t.TempDir(), "result.jsonl")
	if _, stderr, code := proc.Run(t, nil, "chunkline", "export", "--from", "http://"+saver.Address(), "-o", result); code != 0 {
		t.Errorf("export ends with %d: %s", code, stderr)
	}
	if got, err := os.ReadFile(result); err != nil || strings.Count(string(got), "\n") != 1000 {
		t.Errorf("%d lines were exported (%v), want 1000", strings.Count(string(got), "\n"), err)
	}
	for _, p := range roles {
		p.AwaitCode("/readyz", http.StatusOK)
		p.AwaitCode("/metrics", http.StatusOK)
	}
	if status := j.Status(); status.State != report.StateDone || status.Objects.Saved != 1000 {
		t.Errorf("status is %+v, want done with 1000 objects", status)
	}
	proc.End(t, roles...)
	for _, p := range roles {
		p.CheckOutages()
	}
	j.Verify("")
}

// TestDrain: a mapper that gets SIGTERM finishes the chunk it holds; nothing is
// redelivered and nothing is lost.
func TestDrain(t *testing.T) {
	t.Parallel()
	j := newJob(t, 50_000) // the leaver would need more than a minute for them
	saver := j.Saver()
	fetcher := j.Fetcher("ON_DONE=stay", "SPECULATE=false", proc.HTTP())
	fetcher.Await("fetcher serves")
	leaver := j.Mapper("leaver", "users?duration=300ms", "WORKERS=2", "STOP_TIMEOUT=1h")
	fetcher.AwaitStatus("work in flight", func(s report.Status) bool { return s.Chunks.InFlight == 2 })
	proc.End(t, leaver)
	j.Mapper("other", "users", "WORKERS=2")
	s := fetcher.AwaitStatus("the end of the job", func(s report.Status) bool { return s.State == report.StateDone })
	if s.Chunks.Redelivered+s.Chunks.Duplicates != 0 && fetcher.FellSilent() == 0 {
		t.Errorf("%d chunks redelivered, %d duplicates, want none after a drain: %s", s.Chunks.Redelivered, s.Chunks.Duplicates, fetcher.Tail())
	}
	proc.End(t, saver)
	j.Verify("")
}

// TestSourceChanged: a job resumes after a kill -9 of everything, but not with a
// changed source: the error names the chunk that differs.
func TestSourceChanged(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	source, out := proc.Users(t, dir, 20_000), filepath.Join(dir, "named.jsonl")
	args := []string{"run", "-i", source, "-o", out, "-t", "users?duration=20ms", "--log-level", "debug"}
	slow := append(slices.Clone(args), "--rate", "400") // so that the job is not done before it is killed
	run := proc.Start(t, proc.Spec{Dir: dir, Label: "run", Program: "chunkline", Args: slow})
	proc.Eventually(t, "some pieces", func() bool { return strings.Count(run.Log(), "piece saved") > 3 })
	run.Kill()

	text, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	changed := slices.Clone(text)
	changed[20] ^= 1 // a digit of the first user's uuid
	if err := os.WriteFile(source, changed, 0o666); err != nil {
		t.Fatal(err)
	}
	if _, stderr, code := proc.Run(t, nil, "chunkline", args...); code != 1 || !strings.Contains(stderr, "chunk 0 (objects 0 to 99) differs") {
		t.Errorf("with a changed source: exit %d: %s; want 1, naming the chunk", code, stderr)
	}
	if err := os.WriteFile(source, text, 0o666); err != nil {
		t.Fatal(err)
	}
	if _, stderr, code := proc.Run(t, nil, "chunkline", args...); code != 0 || !strings.Contains(stderr, "were done before") {
		t.Errorf("the same command again: exit %d: %s; want 0, resumed", code, stderr)
	}
	if stdout, stderr, code := proc.Run(t, nil, "chunkline", "verify", "-o", out); code != 0 {
		t.Errorf("verify: exit %d: %s%s", code, stdout, stderr)
	}
}
