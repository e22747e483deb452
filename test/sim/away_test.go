package sim

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chunkline/chunkline/internal/bus/bustest"
	"github.com/chunkline/chunkline/internal/mapper"
	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/wire"
)

func twoWorkers(c *mapper.Config) { c.Workers = 2 }

// wantReady checks whether the roles report that they are ready.
func wantReady(t *testing.T, want bool, roles ...*role) {
	t.Helper()
	for i, r := range roles {
		if err := r.ready(); (err == nil) != want {
			t.Errorf("role %d: ready says %v, want ready %v", i, err, want)
		}
	}
}

// once fails the test unless exactly one line of the log holds all parts.
func (w *world) once(parts ...string) {
	w.t.Helper()
	if n := w.log.lines(parts...); n != 1 {
		w.t.Errorf("%d log lines have %q, want 1", n, parts)
	}
}

// While the saver is down, mapping goes on and results wait. Each role logs the outage once, and is
// not ready.
func TestSaverAway(t *testing.T) {
	run(t, 150, 1, func(t *testing.T, w *world) {
		s := w.saver("saver")
		f := w.fetcher("fetcher", nil)
		m := w.mapper("a", "users?duration=1s", twoWorkers)
		pass(3500 * time.Millisecond)
		wantReady(t, true, s, f, m)
		s.crash()
		pass(5 * time.Second)
		wantReady(t, false, f, m)
		before := len(w.tape.handed())
		pass(55 * time.Second)
		wantReady(t, false, f, m)
		if after := len(w.tape.handed()); after != before+2*55 {
			t.Errorf("handed out %d chunks while the saver was away, want %d", after-before, 2*55)
		}
		w.once(`"name":"fetcher"`, "no answer from the saver")
		w.once(`"name":"a"`, "no answer from the saver")
		s = w.saver("saver")
		pass(5 * time.Second)
		wantReady(t, true, s, f, m)
		w.once(`"name":"fetcher"`, "the saver answers again")
		w.once(`"name":"a"`, "the saver answers again")
		if err := f.within(5 * time.Minute); err != nil {
			t.Fatal(err)
		}
		if st := f.Status().Chunks; st.Redelivered != 0 || len(w.tape.handed()) != 150 {
			t.Errorf("status counts %+v, want no redelivery", st)
		}
		w.complete(150)
	})
}

// A fetcher that starts before the saver waits for it, and logs that once.
func TestFetcherBeforeSaver(t *testing.T) {
	run(t, 4, 2, func(t *testing.T, w *world) {
		f := w.fetcher("fetcher", nil)
		m := w.mapper("a", "users", nil)
		pass(time.Minute)
		wantReady(t, false, f, m)
		w.once("waiting for the saver")
		w.once("no answer from the fetcher")
		if s := f.Status().State; s != report.StateStarting {
			t.Errorf("state is %s, want starting", s)
		}
		w.saver("saver")
		if err := f.within(10 * time.Second); err != nil {
			t.Fatal(err)
		}
		w.once("the fetcher answers again")
		w.complete(4)
	})
}

// A full sink stalls the job until there is space. Meanwhile no result is answered as committed.
func TestSinkFull(t *testing.T) {
	run(t, 20, 1, func(t *testing.T, w *world) {
		var full atomic.Bool
		w.sink.OnCommit = func([]sink.Result) error {
			if full.Load() {
				return sink.ErrFull
			}
			return nil
		}
		var committed atomic.Int64
		w.tape.faults(func(p bustest.Packet) bustest.Fate {
			if a, err := wire.DecodeSaveAnswer(p.Message); verbOf(p) == wire.VerbSave && p.Reply && err == nil && a.Of(0) == wire.SaveCommitted {
				committed.Add(1)
			}
			return bustest.Fate{}
		})
		s := w.saver("saver")
		f := w.fetcher("fetcher", nil)
		w.mapper("a", "users?duration=1s", nil)
		pass(3500 * time.Millisecond)
		full.Store(true)
		pass(30 * time.Second)
		if n := committed.Load(); n != 3 {
			t.Errorf("%d results were answered committed, want 3", n)
		}
		wantReady(t, false, s)
		w.once("sink is full")
		if s := f.Status(); s.Objects.Saved != 3 || s.State != report.StateRunning {
			t.Errorf("status is %+v, want 3 objects saved", s)
		}
		if s := f.Status(); s.Bottleneck == nil || s.Bottleneck.Cause != report.CauseFull || s.Chunks.Backups != 0 || len(s.Stragglers) != 0 {
			t.Errorf("bottleneck %+v, %d backup attempts, stragglers %v; want a full sink, no backup attempts and no stragglers", s.Bottleneck, s.Chunks.Backups, s.Stragglers)
		}
		full.Store(false)
		pass(5 * time.Second)
		wantReady(t, true, s)
		if err := f.within(5 * time.Minute); err != nil {
			t.Fatal(err)
		}
		if s := f.Status().Chunks; s.Redelivered != 0 || s.Duplicates != 0 || len(w.tape.handed()) != 20 {
			t.Errorf("status counts %+v, want nothing twice", s)
		}
		w.complete(20)
	})
}

// A broken sink ends the saver. It leaves its last results unanswered, so they go to the next
// saver.
func TestSinkBroken(t *testing.T) {
	run(t, 4, 1, func(t *testing.T, w *world) {
		errFire := errors.New("disk on fire")
		var broken atomic.Bool
		broken.Store(true)
		w.sink.OnCommit = func([]sink.Result) error {
			if broken.Load() {
				return errFire
			}
			return nil
		}
		var answers atomic.Int64
		w.tape.faults(func(p bustest.Packet) bustest.Fate {
			if verbOf(p) == wire.VerbSave && p.Reply {
				answers.Add(1)
			}
			return bustest.Fate{}
		})
		s := w.saver("saver")
		f := w.fetcher("fetcher", nil)
		w.mapper("a", "users?duration=1s", nil)
		if err := s.within(10 * time.Second); !errors.Is(err, errFire) {
			t.Fatalf("saver ended with %v, want the sink's error", err)
		}
		if n := answers.Load(); n != 0 {
			t.Errorf("%d results were answered, want none", n)
		}
		broken.Store(false)
		w.saver("saver")
		if err := f.within(time.Minute); err != nil {
			t.Fatal(err)
		}
		if n := len(w.tape.handed()); n != 4 {
			t.Errorf("handed out %d chunks, want each of 4 once", n)
		}
		w.complete(4)
	})
}

// Without NATS no role is ready; mappers and fetcher log that once. No chunk is redelivered,
// because all mappers were disconnected.
func TestNATSAway(t *testing.T) {
	run(t, 20, 1, func(t *testing.T, w *world) {
		s := w.saver("saver")
		f := w.fetcher("fetcher", nil)
		a, b := w.mapper("a", "users?duration=10s", twoWorkers), w.mapper("b", "users?duration=10s", twoWorkers)
		pass(5 * time.Second)
		w.net.Away()
		pass(time.Minute)
		wantReady(t, false, s, f, a, b)
		w.once(`"name":"a"`, "no answer from the saver")
		w.once(`"name":"b"`, "no answer from the saver")
		w.once(`"name":"fetcher"`, "no answer from the saver")
		w.net.Back()
		pass(10 * time.Second)
		wantReady(t, true, s, f, a, b)
		if err := f.within(10 * time.Minute); err != nil {
			t.Fatal(err)
		}
		if s := f.Status().Chunks; s.Redelivered != 0 || s.Duplicates != 0 || len(w.tape.handed()) != 20 {
			t.Errorf("status counts %+v, want nothing twice", s)
		}
		w.complete(20)
	})
}

// A fetcher that was offline for longer than all leases does not redeliver: it could not have heard
// the mappers.
func TestFetcherOffline(t *testing.T) {
	run(t, 2, 1, func(t *testing.T, w *world) {
		w.tape.faults(func(p bustest.Packet) bustest.Fate { // a hello would make all mappers ask at once
			return bustest.Fate{Drop: verbOf(p) == wire.VerbHello}
		})
		w.saver("saver")
		f := w.fetcher("fetcher", nil)
		w.mapper("a", "users?duration=30s", twoWorkers)
		w.mapper("idle", "users?duration=30s", twoWorkers)
		pass(5 * time.Second)
		f.conn.Disconnect()
		pass(20 * time.Second)
		f.conn.Reconnect()
		if err := f.within(time.Minute); err != nil {
			t.Fatal(err)
		}
		if s := f.Status().Chunks; s.Redelivered != 0 || len(w.tape.handed()) != 2 {
			t.Errorf("status counts %+v, want no redelivery", s)
		}
		w.complete(2)
	})
}
