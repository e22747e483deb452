package fetcher_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/chunkline/chunkline/internal/bus"
	"github.com/chunkline/chunkline/internal/fetcher"
	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/internal/wire"
)

var sinkA = wire.SinkID{ID: "A", At: "host-a:/out"}

// inTurn makes the other saver answer every second time.
func inTurn() func() bool {
	n := 0
	return func() bool { n++; return n%2 == 1 }
}

func wantHeld(t *testing.T, b *bench, held bool) {
	t.Helper()
	by := b.Status().Bottleneck
	if got := by != nil && by.Cause == report.CauseSavers; got != held {
		t.Fatalf("bottleneck %+v, want two savers: %t", by, held)
	}
	if held {
		for _, words := range []string{"A at host-a:/out", "B at host-b:/out"} {
			if !strings.Contains(by.Text, words) {
				t.Errorf("text %q, want %q", by.Text, words)
			}
		}
	}
}

// TestTwoSavers: while savers of two sinks answer, the fetcher hands out nothing. The job goes
// on when only its own saver is left.
func TestTwoSavers(t *testing.T) {
	runAfter(t, 4, func(b *bench) { b.name = sinkA }, func(*fetcher.Config) {}, func(t *testing.T, b *bench) {
		b.beat("m1", 1, nil)
		wantHeld(t, b, false)
		b.play(func() { b.rival = inTurn() })
		pass(30 * time.Second)
		wantHeld(t, b, true)
		answer := b.ask(next("m1", 2))
		pass(time.Second)
		select {
		case w := <-answer:
			if w.Status == wire.WorkGrant {
				t.Errorf("chunk %d was handed out", only(w).Chunk.ID)
			}
		default:
		}
		b.play(func() { b.rival = nil })
		pass(15 * time.Second)
		wantHeld(t, b, false)
		b.wantWork(b.ask(next("m1", 3)), 0)
	})
}

// TestLostVolume: an empty sink with another name in the middle of a job ends the fetcher with
// an error that names the cause.
func TestLostVolume(t *testing.T) {
	runAfter(t, 4, func(b *bench) { b.name = sinkA }, func(*fetcher.Config) {}, func(t *testing.T, b *bench) {
		b.play(func() { b.rival = func() bool { return true } })
		pass(time.Minute)
		select {
		case err := <-b.done:
			if !errors.Is(err, fetcher.ErrOtherSink) || !strings.Contains(err.Error(), "B at host-b:/out is empty") || !strings.Contains(err.Error(), "volume lost") {
				t.Errorf("ended with %v", err)
			}
		default:
			t.Error("still runs")
		}
	})
}

// TestTwoSavers_claim: a leftover saver that refuses the claim does not end the fetcher,
// because the job's own saver may answer the next time. The claim waits until one is left.
func TestTwoSavers_claim(t *testing.T) {
	runAfter(t, 4, func(b *bench) { b.name, b.rival = sinkA, inTurn() }, func(*fetcher.Config) {}, func(t *testing.T, b *bench) {
		pass(30 * time.Second)
		if s := b.Status(); s.State != report.StateStarting {
			t.Fatalf("state %s, want starting", s.State)
		}
		b.play(func() { b.rival = nil })
		pass(15 * time.Second)
		b.wantWork(b.ask(next("m1", 1)), 0)
	})
}

// TestOneSaver_refuses: the refusal of the claim by the only saver ends the fetcher with its reason.
func TestOneSaver_refuses(t *testing.T) {
	runAfter(t, 4, func(b *bench) { b.rival = func() bool { return true } }, func(*fetcher.Config) {}, func(t *testing.T, b *bench) {
		pass(5 * time.Second)
		if err := <-b.done; !errors.Is(err, fetcher.ErrOtherPlan) {
			t.Errorf("ended with %v, want ErrOtherPlan", err)
		}
	})
}

// TestTwoSavers_deadLetters: a saver of another sink that refuses the fetcher's own dead letters does not end the job.
func TestTwoSavers_deadLetters(t *testing.T) {
	runAfter(t, 2, func(b *bench) { b.name = sinkA }, func(c *fetcher.Config) { c.MaxAttempts = 1 }, func(t *testing.T, b *bench) {
		saves := 0
		stop, err := b.peer.Serve(bus.Service{Name: "saves", Version: "1.0.0", Endpoints: []bus.Endpoint{{Verb: wire.VerbSave, Handle: func(r *bus.Request) {
			a := wire.SaveAnswer{Statuses: []wire.SaveStatus{wire.SaveRefused}, Reason: "sink belongs to no plan yet", Sink: wire.SinkID{ID: "B", At: "host-b:/out"}}
			if saves++; saves > 1 {
				a = wire.SaveAnswer{Plan: b.Status().Plan, Statuses: []wire.SaveStatus{wire.SaveCommitted}, Sink: sinkA}
			}
			b.reply(r, a.Encode())
		}}}})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = stop(context.Background()) }()
		for _, vanishing := range []string{"m3", "m4", "m5"} { // none of them is connected
			b.ask(next(vanishing, 1))
			pass(20 * time.Second) // until the other saver counts as gone
		}
		if err := b.ended(); saves < 2 || err != nil {
			t.Errorf("the dead letters were sent %d times and the job ended with %v, want them sent again and no end yet", saves, err)
		}
	})
}
