package fetcher_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/chunkline/chunkline/internal/app"
	"github.com/chunkline/chunkline/internal/bus"
	"github.com/chunkline/chunkline/internal/bus/bustest"
	"github.com/chunkline/chunkline/internal/fetcher"
	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/internal/source"
	"github.com/chunkline/chunkline/internal/wire"
)

// newFetcher returns a fetcher of two objects, which no saver answers.
func newFetcher(t *testing.T, conn *bustest.Conn) *fetcher.Fetcher {
	t.Helper()
	path := filepath.Join(t.TempDir(), "numbers.jsonl")
	if err := os.WriteFile(path, []byte("1\n2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	src, err := source.Open(source.Options{Size: 2, Bytes: 1 << 20}, path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = src.Close() })
	f, err := fetcher.New(fetcher.Config{ChunkSize: 2, ChunkBytes: 1 << 20, OnDone: "exit", MaxDead: -1}, bus.New(conn, job), src, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestStatusWhileStarting: while a fetcher waits for its saver, its status says so, and
// it accepts no orders.
func TestStatusWhileStarting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		net := bustest.NewMemory(bustest.Options{})
		own, peer := net.Connect("fetcher"), net.Connect("operator")
		defer own.Close()
		defer peer.Close()
		f := newFetcher(t, own)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- f.Run(ctx) }()
		defer func() { cancel(); <-done }()
		pass(3 * time.Second)
		operator := bus.New(peer, job)
		reply, err := operator.Request(t.Context(), wire.VerbStatus, wire.StatusQuery{}.Encode())
		if err != nil {
			t.Fatalf("status: %v, want an answer without a saver", err)
		}
		s, err := wire.DecodeStatus(reply)
		if err != nil || s.State != report.StateStarting || s.Bottleneck == nil || s.Bottleneck.Cause != report.CauseStart || !strings.Contains(s.Bottleneck.Text, "waiting for the saver, but none answers") {
			t.Errorf("status %+v, bottleneck %+v, %v; want the saver as the bottleneck", s, s.Bottleneck, err)
		}
		if s.StartedAt.IsZero() || s.Seconds < 2.9 {
			t.Errorf("started at %s, %.1f s ago; want 3 s", s.StartedAt, s.Seconds)
		}
		if bytes.Contains(reply.Body, []byte("null")) {
			t.Errorf("status has null for an empty list: %s", reply.Body)
		}
		reply, err = operator.Request(t.Context(), wire.VerbControl, wire.Control{Action: wire.ControlPause}.Encode())
		if err != nil {
			t.Fatal(err)
		}
		if a, err := wire.DecodeControlAnswer(reply); err != nil || a.OK || !strings.Contains(a.Reason, "waits for the saver") {
			t.Errorf("pause: %+v, %v; want a refusal with a reason", a, err)
		}
	})
}

// TestClaim_closed: a fetcher whose connection is closed for good before it has claimed the job, as after a wrong
// password, ends with the exit code of the other roles.
func TestClaim_closed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		own := bustest.NewMemory(bustest.Options{}).Connect("fetcher")
		f := newFetcher(t, own)
		done := make(chan error, 1)
		go func() { done <- f.Run(t.Context()) }()
		pass(time.Second)
		own.Close()
		if err := <-done; app.Code(err) != app.ExitUnreachable || !errors.Is(err, bus.ErrClosed) {
			t.Errorf("exit code %d, %v; want %d, %v", app.Code(err), err, app.ExitUnreachable, bus.ErrClosed)
		}
	})
}
