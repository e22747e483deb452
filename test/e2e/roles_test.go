package e2e

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/chunkline/chunkline/internal/bus"
	"github.com/chunkline/chunkline/test/loopback"
	"github.com/chunkline/chunkline/test/proc"
)

// job starts the programs of a small job; the nats-server runs already.
type job struct {
	t      *testing.T
	dir    string
	common []string
	out    string
}

func newJob(t *testing.T, url string) *job {
	t.Helper()
	dir := t.TempDir()
	return &job{t: t, dir: dir, out: filepath.Join(dir, "out"), common: []string{"NATS_URL=" + url, "JOB=roles", "HTTP_ADDR=", "LOG_FORMAT=json"}}
}

func (j *job) start(label, name string, env ...string) *proc.Process {
	j.t.Helper()
	return proc.Start(j.t, proc.Spec{Dir: j.dir, Label: label, Program: name, Env: append(slices.Clone(j.common), env...)})
}

func (j *job) saver() *proc.Process { return j.start("saver", "saver", "SINK="+j.out) }

func (j *job) verify() {
	j.t.Helper()
	if stdout, stderr, code := proc.Run(j.t, nil, "chunkline", "verify", "-o", j.out); code != 0 {
		j.t.Errorf("verify: exit %d\n%s%s", code, stdout, stderr)
	}
}

// TestAwayNATS: the roles wait for NATS, say so once, are alive but not ready
// meanwhile, and go on when it is there.
func TestAwayNATS(t *testing.T) {
	t.Parallel()
	address := loopback.Address()
	j := newJob(t, "nats://"+address)
	source := proc.Users(t, j.dir, 1000)
	health := map[string]string{"fetcher": loopback.Address(), "mapper": loopback.Address(), "saver": loopback.Address()}
	saver := j.start("saver", "saver", "SINK="+j.out, "HTTP_ADDR="+health["saver"])
	fetcher := j.start("fetcher", "fetcher", "SOURCE="+source, "ON_DONE=stay", "HTTP_ADDR="+health["fetcher"])
	mapper := j.start("mapper", "mapper", "TRANSFORM=users", "HTTP_ADDR="+health["mapper"])
	for _, p := range []*proc.Process{saver, fetcher, mapper} {
		p.Await("NATS is away")
	}
	for role, addr := range health {
		awaitStatus(t, "http://"+addr+"/healthz", http.StatusOK)
		awaitStatus(t, "http://"+addr+"/readyz", http.StatusServiceUnavailable)
		awaitStatus(t, "http://"+addr+"/version", http.StatusOK)
		t.Log(role, "waits")
	}
	host, port, _ := strings.Cut(address, ":")
	nats := proc.Start(t, proc.Spec{Dir: j.dir, Label: "nats", Program: "nats-server", Args: []string{"-a", host, "-p", port}})
	fetcher.Await("job done")
	for _, addr := range health {
		awaitStatus(t, "http://"+addr+"/readyz", http.StatusOK)
		awaitStatus(t, "http://"+addr+"/metrics", http.StatusOK)
	}
	if status := status(t, nats, "nats://"+address); status.State != bus.StateDone || status.Objects.Saved != 1000 {
		t.Errorf("status is %+v, want done with 1000 objects", status)
	}
	for _, p := range []*proc.Process{fetcher, mapper, saver} {
		p.Signal(syscall.SIGTERM)
		if code := p.Exit(); code != 0 {
			t.Errorf("exit code %d after SIGTERM, want 0: %s", code, p.Tail())
		}
		if n := strings.Count(p.Tail(), "NATS is away"); n != 1 {
			t.Errorf("said %d times that nats is away, want 1: %s", n, p.Tail())
		}
	}
	j.verify()
}

func awaitStatus(t *testing.T, url string, want int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), proc.Patience)
	defer cancel()
	proc.Eventually(ctx, t, url, func() bool {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return false
		}
		defer func() { _ = response.Body.Close() }()
		return response.StatusCode == want
	})
}

func status(t *testing.T, _ *proc.Process, url string) bus.Status {
	t.Helper()
	stdout, stderr, code := proc.Run(t, nil, "chunkline", "status", "--json", "--job", "roles", "--nats-url", url)
	if code != 0 {
		t.Fatalf("status: exit %d: %s", code, stderr)
	}
	var s bus.Status
	if err := json.Unmarshal([]byte(stdout), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestTakeover: a second fetcher of the same plan takes over in the middle of
// a job and the first one exits 1 saying so; one of another plan is refused.
func TestTakeover(t *testing.T) {
	t.Parallel()
	nats, url := proc.NATS(t, t.TempDir())
	j := newJob(t, url)
	source := proc.Users(t, j.dir, 5000)
	saver := j.saver()
	first := j.start("first", "fetcher", "SOURCE="+source, "ON_DONE=exit")
	first.Await("fetcher serves")
	j.start("mapper", "mapper", "TRANSFORM=users?duration=100ms", "WORKERS=2").Await("mapper asks")

	other := j.start("other", "fetcher", "SOURCE="+source, "CHUNK_SIZE=7")
	if code := other.Exit(); code != 1 || !strings.Contains(other.Tail(), "another plan") {
		t.Errorf("fetcher of another plan: exit %d: %s; want 1, refused", code, other.Tail())
	}
	second := j.start("second", "fetcher", "SOURCE="+source, "ON_DONE=exit")
	if code := first.Exit(); code != 1 || !strings.Contains(first.Tail(), "another fetcher has taken over") {
		t.Errorf("first fetcher: exit %d: %s; want 1, saying why", code, first.Tail())
	}
	if code := second.Exit(); code != 0 {
		t.Errorf("second fetcher: exit %d: %s", code, second.Tail())
	}
	_ = nats
	saver.Kill()
	j.verify()
}

// TestDrain: a mapper that gets SIGTERM finishes the chunk it holds; nothing is
// redelivered and nothing is lost.
func TestDrain(t *testing.T) {
	t.Parallel()
	nats, url := proc.NATS(t, t.TempDir())
	j := newJob(t, url)
	source := proc.Users(t, j.dir, 2000)
	saver := j.saver()
	fetcher := j.start("fetcher", "fetcher", "SOURCE="+source, "SPECULATE=false")
	fetcher.Await("fetcher serves")
	leaver := j.start("leaver", "mapper", "TRANSFORM=users?duration=300ms", "WORKERS=2")
	ctx, cancel := context.WithTimeout(t.Context(), proc.Patience)
	defer cancel()
	proc.Eventually(ctx, t, "work in flight", func() bool { return status(t, nats, url).Chunks.InFlight == 2 })
	leaver.Signal(syscall.SIGTERM)
	if code := leaver.Exit(); code != 0 {
		t.Errorf("mapper exit code %d after SIGTERM, want 0: %s", code, leaver.Tail())
	}
	j.start("heir", "mapper", "TRANSFORM=users", "WORKERS=2")
	fetcher.Await("job done")
	if s := status(t, nats, url); s.Chunks.Redelivered != 0 || s.Chunks.Duplicates != 0 {
		t.Errorf("%d chunks redelivered, %d duplicates; a drain costs none: %s", s.Chunks.Redelivered, s.Chunks.Duplicates, fetcher.Tail())
	}
	saver.Kill()
	j.verify()
}

// TestSourceChanged: a job goes on after a kill -9 of everything, but not with
// a source that has changed, and says which chunk differs.
func TestSourceChanged(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	source, out := proc.Users(t, dir, 20_000), filepath.Join(dir, "named.jsonl")
	args := []string{"run", "-i", source, "-o", out, "-t", "users?duration=20ms", "--log-level", "debug"}
	run := proc.Start(t, proc.Spec{Dir: dir, Label: "run", Program: "chunkline", Args: args})
	ctx, cancel := context.WithTimeout(t.Context(), proc.Patience)
	defer cancel()
	proc.Eventually(ctx, t, "some chunks", func() bool { return strings.Count(run.Tail(), "chunk saved") > 3 })
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
