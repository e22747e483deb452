package sim

import (
	"errors"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chunkline/chunkline/internal/app"
	"github.com/chunkline/chunkline/internal/bus/bustest"
	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/fetcher"
	"github.com/chunkline/chunkline/internal/mapper"
	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/wire"
)

// supervised is mappers that the test kills and restarts a second later.
type supervised struct {
	w     *world
	names []string
	died  atomic.Int64
}

func newSupervised(w *world, names ...string) *supervised { return &supervised{w: w, names: names} }

// keep starts the mappers and restarts those that died, until the fetcher ends. It returns the
// fetcher's error.
func (k *supervised) keep(f *role, transform string, change func(*mapper.Config)) error {
	k.w.t.Helper()
	alive := map[string]*role{}
	for end := time.Now().Add(10 * time.Minute); time.Now().Before(end); pass(time.Second) {
		for _, name := range k.names {
			if r := alive[name]; r != nil {
				select {
				case <-r.done:
				default:
					continue
				}
			}
			alive[name] = k.w.mapper(name, transform, change)
		}
		select {
		case <-f.done:
			return f.err
		default:
		}
	}
	k.w.t.Fatalf("the job does not end; status %+v", f.status())
	return nil
}

// kill crashes a mapper.
func (k *supervised) kill(name string) {
	if c := k.w.conn(name); c != nil && c.Online() {
		k.died.Add(1)
		c.Crash()
	}
}

// letters parses the dead letters of the sink.
func (w *world) letters() []chunk.DeadLetter {
	w.t.Helper()
	var letters []chunk.DeadLetter
	_, dead := w.sink.Content()
	for line := range strings.Lines(dead) {
		d, err := chunk.ParseDeadLetter([]byte(line))
		if err != nil {
			w.t.Fatal(err)
		}
		letters = append(letters, d)
	}
	return letters
}

// An object that crashes every mapper that touches it becomes the only dead letter. It costs 4
// mappers, however many pieces its first grant has.
func TestPoison(t *testing.T) {
	const size, poison = 10, 57
	for name, test := range map[string]struct {
		workers int
		work    string // of a piece
		pieces  int    // in the first grant with the object, at least
	}{
		"1 worker":                    {1, "500ms", 1},
		"3 workers":                   {3, "500ms", 1},
		"large grants":                {1, "1ms", 2},
		"3 workers with large grants": {3, "1ms", 2},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, 100, size, func(t *testing.T, w *world) {
				work, err := time.ParseDuration(test.work)
				if err != nil {
					t.Fatal(err)
				}
				k := newSupervised(w, "a", "b", "c")
				w.tape.faults(func(p bustest.Packet) bustest.Fate {
					if g := handsOut(p, poison); g != nil && !g.Careful {
						time.AfterFunc(work/20, func() { k.kill(p.To) }) // before even one object of ten is mapped
					}
					if announces(p, poison/size, poison%size) {
						k.kill(p.From) // NATS already has the announcement
					}
					return bustest.Fate{}
				})
				w.saver("saver")
				f := w.fetcher("fetcher", nil)
				if err := k.keep(f, "users?duration="+test.work, func(c *mapper.Config) { c.Workers = test.workers }); !errors.Is(err, app.ErrDeadLetters) {
					t.Fatalf("job ended with %v, want dead letters", err)
				}
				w.complete(100, poison)
				letters := w.letters()
				if len(letters) != 1 || letters[0].Ordinal != poison || string(letters[0].Object) != user(poison) {
					t.Fatalf("dead letters %+v, want object %d", letters, poison)
				}
				if got, want := letters[0].Error, "2 mappers vanished while this object was in work"; got != want {
					t.Errorf("reason is %q, want %q", got, want)
				}
				if n := k.died.Load(); n != 4 {
					t.Errorf("%d mappers crashed, want 4", n)
				}
				times := 0
				for _, h := range w.tape.handed(poison / size) {
					if h.Piece().Has(poison % size) {
						if times++; times == 1 && h.of < test.pieces || times > 1 && h.of > 1 {
							t.Errorf("piece %s came in a grant of %d pieces at hand-out %d, want at least %d at first and then 1", h.Piece(), h.of, times, test.pieces)
						}
					}
				}
			})
		})
	}
}

// A mapper that dies while it waits for the saver does not count against the object that it
// announced last.
func TestDeathWhileSaving(t *testing.T) {
	run(t, 1, 1, func(t *testing.T, w *world) {
		k := newSupervised(w, "a", "b")
		deaths := 0
		w.tape.faults(func(p bustest.Packet) bustest.Fate {
			if verbOf(p) == wire.VerbSave && !p.Reply && deaths < 6 {
				deaths++
				time.AfterFunc(500*time.Millisecond, func() { k.kill(p.From) })
				return bustest.Fate{Drop: true}
			}
			return bustest.Fate{}
		})
		w.saver("saver")
		f := w.fetcher("fetcher", nil)
		if err := k.keep(f, "users", nil); err != nil {
			t.Fatalf("job ended with %v", err)
		}
		if h := w.tape.handed(); len(h) != 7 || h[6].Attempt != 7 || !h[6].Careful || len(h[6].Skip) != 0 {
			t.Errorf("handed out %+v, want the seventh attempt careful, with nothing to skip", h)
		}
		w.complete(1)
	})
}

// A chunk that crashes every mapper before it touches an object is dead-lettered after
// MAX_ATTEMPTS. Each object has its own reason.
func TestDeadChunk(t *testing.T) {
	run(t, 12, 3, func(t *testing.T, w *world) {
		w.rewrite(user(10), "{broken")
		k := newSupervised(w, "a", "b")
		w.tape.faults(func(p bustest.Packet) bustest.Fate {
			for object := 9; object < 12; object++ {
				if handsOut(p, object) != nil {
					k.kill(p.To)
				}
			}
			return bustest.Fate{}
		})
		w.saver("saver")
		f := w.fetcher("fetcher", func(c *fetcher.Config) { c.MaxAttempts = 3 })
		if err := k.keep(f, "users?duration=100ms", nil); !errors.Is(err, app.ErrDeadLetters) {
			t.Fatalf("job ended with %v, want dead letters", err)
		}
		w.complete(12, 9, 10, 11)
		want := []chunk.DeadLetter{
			{Ordinal: 9, Chunk: 3, Error: "3 mappers vanished while they held chunk 3", Attempts: 3, Mapper: "fetcher", Object: []byte(user(9))},
			{Ordinal: 10, Chunk: 3, Error: "line 11, byte 330: not valid JSON: invalid character 'b' looking for beginning of object key string (byte 2 of the object)", Object: []byte("{broken")},
			{Ordinal: 11, Chunk: 3, Error: "3 mappers vanished while they held chunk 3", Attempts: 3, Mapper: "fetcher", Object: []byte(user(11))},
		}
		if got := w.letters(); !reflect.DeepEqual(got, want) {
			t.Errorf("dead letters: got %+v, want %+v: an unreadable object has no attempts", got, want)
		}
	})
}

// While a full sink does not take the dead letters of a chunk, the status says so, as it does for results.
func TestDeadChunk_full(t *testing.T) {
	run(t, 1, 1, func(t *testing.T, w *world) {
		var space atomic.Bool
		w.sink.OnCommit = func([]sink.Result) error {
			if !space.Load() {
				return sink.ErrFull
			}
			return nil
		}
		k := newSupervised(w, "a", "b")
		w.tape.faults(func(p bustest.Packet) bustest.Fate {
			if handsOut(p, 0) != nil {
				k.kill(p.To)
			}
			return bustest.Fate{}
		})
		w.saver("saver")
		f := w.fetcher("fetcher", func(c *fetcher.Config) { c.MaxAttempts = 3 })
		time.AfterFunc(2*time.Minute, func() {
			if s := f.Status(); s.Chunks.InFlight+s.Chunks.Ready > 0 || s.Bottleneck == nil || s.Bottleneck.Cause != report.CauseFull {
				t.Errorf("chunks %+v, bottleneck %+v; want a chunk that is dead, and a full sink", s.Chunks, s.Bottleneck)
			}
			space.Store(true)
		})
		if err := k.keep(f, "users", nil); !errors.Is(err, app.ErrDeadLetters) {
			t.Fatalf("job ended with %v, want dead letters", err)
		}
		w.complete(1, 0)
	})
}

// Losing NATS in careful mode delays the chunk: the mapper touches no object that it could not
// announce, and it survives.
func TestCarefulWhileOffline(t *testing.T) {
	run(t, 1, 1, func(t *testing.T, w *world) {
		k := newSupervised(w, "a")
		deaths, offline := 0, false
		w.tape.faults(func(p bustest.Packet) bustest.Fate {
			if isWork(p) && deaths < 2 {
				deaths++
				k.kill(p.To)
			}
			if b, err := wire.DecodeBeat(p.Message); verbOf(p) == wire.VerbBeat && err == nil && b.Doing != nil && !offline {
				offline = true
				conn := w.conn(p.From)
				conn.Disconnect()
				time.AfterFunc(time.Second, conn.Reconnect)
			}
			return bustest.Fate{}
		})
		w.saver("saver")
		f := w.fetcher("fetcher", nil)
		if err := k.keep(f, "users", nil); err != nil {
			t.Fatalf("job ended with %v", err)
		}
		if !offline || k.died.Load() != 2 {
			t.Errorf("offline %v, %d mappers died, want 2", offline, k.died.Load())
		}
		if n := len(w.roles); n != 5 { // saver, fetcher and 3 times the mapper
			t.Errorf("got %d processes, want 5: the mapper must survive", n)
		}
		w.complete(1)
	})
}
