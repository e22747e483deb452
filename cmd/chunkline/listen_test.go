package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/chunkline/chunkline/internal/bus"
	"github.com/chunkline/chunkline/internal/mapper"
	"github.com/chunkline/chunkline/test/loopback"
)

// eventually calls done until it returns true.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("timed out waiting for %s", what)
		}
	}
}

// TestListen: a job without workers waits for remote mappers, answers status and control,
// and finishes after a mapper has joined.
func TestListen(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	objects, values := numbers(250)
	in, out := write(t, filepath.Join(dir, "in"), objects), filepath.Join(dir, "out")
	nats, web := loopback.Address(), loopback.Address()
	url := "nats://" + nats
	ended := make(chan result, 1)
	go func() {
		ended <- chunklineWith(t.Context(), strings.NewReader(""), "run", "-i", in, "-o", out, "-m", ".n", "-j", "0", "--listen", nats, "--http", web)
	}()
	eventually(t, "readiness", func() bool {
		response, err := http.Get("http://" + web + "/readyz")
		if err != nil {
			return false
		}
		defer func() { _ = response.Body.Close() }()
		_, _ = io.Copy(io.Discard, response.Body)
		return response.StatusCode == http.StatusOK
	})
	var r result
	eventually(t, "status", func() bool {
		r = chunkline(t, "status", "--job", "run", "--nats-url", url)
		return strings.Contains(r.stdout, "ready 3")
	})
	wantWords(t, r.stdout, "job run: running, 0.0 %", "waiting for mappers", in, "bottleneck  no mapper is connected")
	wantWords(t, firstLine(t, &remote{job: "run", url: url}, false), "job run: running, 0.0 %", "waiting for mappers")
	wantWords(t, firstLine(t, &remote{job: "run", url: url}, true), `"state":"running"`)
	wantWords(t, firstLine(t, &remote{job: "other", url: url}, false), `no fetcher runs job "other"`)
	wantWords(t, must(t, 0, "control", "pause", "--job", "run", "--nats-url", url).stdout, "job run: paused")
	eventually(t, "pause", func() bool {
		return strings.Contains(chunkline(t, "status", "--job", "run", "--nats-url", url).stdout, "running, paused")
	})
	wantWords(t, chunkline(t, "status", "--job", "run", "--nats-url", url, "--json").stdout, `"paused": true`)
	wantWords(t, must(t, 0, "control", "resume", "--job", "run", "--nats-url", url).stdout, "job run: resumed\n")
	wantWords(t, must(t, 0, "control", "rate", "1e6", "--job", "run", "--nats-url", url).stdout, "job run: the rate is at most 1000000 objects a second now\n")
	wantWords(t, must(t, 3, "status", "--job", "other", "--nats-url", "nats://joe:canary@"+nats).err.Error(), `no fetcher runs job "other" at nats://`+nats)

	left := join(t, bus.Config{URL: url})
	r = <-ended
	r.want(t, 0)
	left()
	wantFile(t, out, values)
	wantWords(t, r.stderr, fmt.Sprintf("mappers elsewhere can join at %s", nats), "JOB=run")
	must(t, 0, "verify", "-o", out)
}

// firstLine returns the first line that a watch prints.
func firstLine(t *testing.T, r *remote, asJSON bool) string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	lines, w := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- newWatch(r, w, asJSON, true).run(ctx) }()
	line, err := bufio.NewReader(lines).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	return line
}

// join starts a mapper that connects to the server of cfg; left waits until it has ended
// because the job is done.
func join(t *testing.T, cfg bus.Config) (left func()) {
	t.Helper()
	b, err := bus.Connect(cfg, bus.Options{Job: "run", Role: bus.RoleMapper, Name: "elsewhere", Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	m, err := mapper.New(mapper.Config{Workers: 2, Name: "elsewhere"}, b, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		if err := m.Run(t.Context()); err != nil {
			panic(fmt.Sprintf("the mapper broke, and the job waits for it: %v", err))
		}
		close(ended)
	}()
	return func() {
		defer b.Close()
		select {
		case <-ended:
		case <-time.After(2 * time.Minute):
			t.Error("the job is done, but the mapper that joined it still runs")
		}
	}
}
