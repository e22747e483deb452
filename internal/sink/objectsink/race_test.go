package objectsink

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/chunkline/chunkline/internal/bucket"
	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/sink/sinktest"
)

// Two savers of a job: the one that finds a number taken reads what the other has committed, and decides about its
// results again.
func TestLostRace(t *testing.T) {
	t.Parallel()
	m := newMemory()
	a, b := openTest(t, m), openTest(t, m)
	claim(t, a, "f1")
	claim(t, b, "f1") // in the entry of a
	if a.Epoch() != 1 || b.Epoch() != 1 {
		t.Fatalf("epochs are %d and %d, want one claim", a.Epoch(), b.Epoch())
	}
	one, two := sinktest.Chain("one", []int{1}, []int{1}), sinktest.Chain("two", []int{2}, []int{2})
	commit(t, a, one[:1], sink.Committed)
	commit(t, b, two, sink.Duplicate, sink.Committed)
	commit(t, a, one, sink.Duplicate, sink.Duplicate)
	if err := b.FenceVersion(t.Context(), "v1", 1); err != nil {
		t.Fatal(err)
	}
	commit(t, a, sinktest.Chain("one", []int{1}, []int{1}, []int{1})[2:], sink.TooLate) // it did not know of the fence
	claim(t, b, "f2")
	if _, err := a.Claim(t.Context(), sinktest.Plan("a"), "f1"); !errors.Is(err, sink.ErrFenced) {
		t.Errorf("claim by the superseded fetcher: %v, want ErrFenced", err)
	}
	finish(t, a, m, []sink.Result{one[0], two[1]})
	if err := b.Refresh(t.Context()); err != nil || b.Summary() != a.Summary() {
		t.Errorf("summaries are %+v and %+v, %v", a.Summary(), b.Summary(), err)
	}
}

// A saver that does not know of a redo by another process does not take a removed piece for a duplicate.
func TestRedoElsewhere(t *testing.T) {
	t.Parallel()
	m := newMemory()
	a, b := openTest(t, m), openTest(t, m)
	claim(t, a, "f1")
	all := sinktest.Chain("one", []int{1}, []int{1})
	commit(t, a, all, sink.Committed, sink.Committed)
	if done, err := b.Redo(t.Context(), "v1"); err != nil || done.Chunks != 2 || done.Objects != 2 || done.Outputs != 2 {
		t.Fatalf("redo: %+v, %v", done, err)
	}
	again := sinktest.Chain("two", []int{1}, []int{1})
	again[0].Version = "v2"
	commit(t, a, again, sink.Committed, sink.TooLate)
	claim(t, a, "f2")
	if _, err := b.Claim(t.Context(), sinktest.Plan("a"), "f1"); !errors.Is(err, sink.ErrFenced) {
		t.Errorf("claim by the fetcher of before: %v, want ErrFenced", err)
	}
	again[1].Term = 1
	commit(t, b, again, sink.Duplicate, sink.Committed)
	finish(t, b, m, again)
}

// If the other saver's entry vanishes before it is read, the results are not taken for committed.
func TestEntryVanishes(t *testing.T) {
	t.Parallel()
	m := newMemory()
	a, b := openTest(t, m), openTest(t, m)
	claim(t, a, "f1")
	claim(t, b, "f1")
	commit(t, b, sinktest.Chain("two", []int{2}), sink.Committed)
	reads := 0
	m.reading = func(key string) error {
		if reads++; reads == 2 { // the first one has found the other entry
			delete(m.objects, key)
		}
		return nil
	}
	all := sinktest.Chain("one", []int{1})
	commit(t, a, all, sink.Committed)
	m.reading = nil
	finish(t, openTest(t, m), m, all)
}

// Many savers commit the same results at the same time: each result is committed once.
func TestRaces(t *testing.T) {
	t.Parallel()
	m := newMemory()
	first := openTest(t, m)
	claim(t, first, "f1")
	var counts [][]int
	for range 40 {
		counts = append(counts, []int{1, -1})
	}
	var mu sync.Mutex
	committed := map[int]int{}
	var savers sync.WaitGroup
	for n := range 4 {
		s := openTest(t, m)
		all := sinktest.Chain(fmt.Sprint(n), counts...)
		savers.Go(func() {
			for i := range all {
				at := (i + 10*n) % len(all)
				outcomes, err := s.Commit(t.Context(), all[at:at+1])
				if err != nil || !outcomes[0].Durable() {
					t.Errorf("commit of chunk %d: %v, %v", at, outcomes, err)
					return
				}
				if outcomes[0] == sink.Committed {
					mu.Lock()
					committed[at]++
					mu.Unlock()
				}
			}
		})
	}
	savers.Wait()
	for i := range counts {
		if committed[i] != 1 {
			t.Errorf("chunk %d was committed %d times", i, committed[i])
		}
	}
	if err := first.Refresh(t.Context()); err != nil || first.Summary().Chunks != 40 {
		t.Errorf("summary is %+v, %v", first.Summary(), err)
	}
}

var errLost = errors.New("connection reset")

// failures returns a hook that fails the next n times.
func failures(n int) func(string) error {
	return func(string) error {
		if n--; n >= 0 {
			return errLost
		}
		return nil
	}
}

// If the answer to a write is lost, the sink finds out whether the entry was stored.
func TestAmbiguousWrite(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ before, after, reading int }{
		"not stored":                      {before: 1},
		"stored":                          {after: 1},
		"stored at the second attempt":    {before: 1, after: 1},
		"stored, and a read fails first":  {after: 1, reading: 2},
		"not stored, a read fails, twice": {before: 2, reading: 3},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMemory()
				s := openTest(t, m)
				claim(t, s, "f1")
				all := sinktest.Chain("one", []int{1}, []int{1, -1})
				m.before, m.after, m.reading = failures(test.before), failures(test.after), failures(test.reading)
				commit(t, s, all, sink.Committed, sink.Committed)
				if keys := m.keys(testSettings.prefix + logFolder); len(keys) != 3 {
					t.Errorf("the log has %q, want 3 entries", keys)
				}
				finish(t, s, m, all)
			})
		})
	}
}

// While the store does not answer, it is unknown what is committed. Repeating the call shows it.
func TestUnreachable(t *testing.T) {
	t.Parallel()
	for name, stored := range map[string]bool{"stored": true, "not stored": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMemory()
				s := openTest(t, m)
				claim(t, s, "f1")
				all := sinktest.Chain("one", []int{1}, []int{1, -1})
				away := func(string) error { return errLost }
				m.reading = away
				want := sink.Committed
				if stored {
					m.after, want = away, sink.Duplicate
				} else {
					m.before = away
				}
				if _, err := s.Commit(t.Context(), all[:1]); !errors.Is(err, sink.ErrUnreachable) || !errors.Is(err, errLost) {
					t.Fatalf("commit: %v, want ErrUnreachable", err)
				}
				if err := s.Refresh(t.Context()); !errors.Is(err, sink.ErrUnreachable) {
					t.Fatalf("refresh: %v, want ErrUnreachable", err)
				}
				if _, err := s.Finish(t.Context(), 1, 1); !errors.Is(err, sink.ErrUnreachable) {
					t.Fatalf("finish: %v, want ErrUnreachable", err)
				}
				m.reading, m.before, m.after = nil, nil, nil
				commit(t, s, all, want, sink.Committed)
				finish(t, s, m, all)
			})
		})
	}
}

// A commit for which the store has no space is not there, and may be repeated.
func TestFull(t *testing.T) {
	t.Parallel()
	m := newMemory()
	s := openTest(t, m)
	claim(t, s, "f1")
	all := sinktest.Chain("one", []int{1}, []int{1, -1})
	m.before = func(string) error { return errNoSpace }
	if _, err := s.Commit(t.Context(), all); !errors.Is(err, sink.ErrFull) {
		t.Fatalf("commit: %v, want ErrFull", err)
	}
	m.before = nil
	commit(t, s, all, sink.Committed, sink.Committed)
	m.before = func(string) error { return errNoSpace }
	if _, err := s.Finish(t.Context(), 2, 3); !errors.Is(err, sink.ErrFull) {
		t.Fatalf("finish: %v, want ErrFull", err)
	}
	m.before = nil
	finish(t, s, m, all)
}

// Two savers finish at the same time, and a third one commits.
func TestFinishRaces(t *testing.T) {
	t.Parallel()
	m := newMemory()
	a, b := openTest(t, m), openTest(t, m)
	claim(t, a, "f1")
	all := sinktest.Chain("one", []int{1, -1}, []int{1, 1, 1, 1}, []int{2})
	commit(t, a, all, slices.Repeat([]sink.Outcome{sink.Committed}, 3)...)
	mended := sinktest.Chain("two", []int{1, 1}, []int{1, 1, 1, 1}, []int{2})
	replaced := false
	m.after = func(key string) error {
		if !replaced && key != a.entryKey(4) { // a has begun to write parts
			replaced = true
			if err := errors.Join(b.Refresh(t.Context()), sinktest.Replace(t, b, mended[0])); err != nil {
				t.Error(err)
			}
			if _, err := b.Finish(t.Context(), 3, 7); err != nil {
				t.Error(err)
			}
		}
		return nil
	}
	finish(t, a, m, []sink.Result{mended[0], all[1], all[2]})
	if !replaced {
		t.Error("the other saver did not interfere")
	}
}

// slow is a store that one saver waits for.
type slow struct {
	*memory

	waits func(key string) // before each Write, and before each List, with its prefix; nil: never
}

func (s *slow) List(ctx context.Context, prefix string, found func(key, version string, size int64)) error {
	s.wait(prefix)
	return s.memory.List(ctx, prefix, found)
}

func (s *slow) Write(ctx context.Context, key, mediaType string, content []byte, replaces string) error {
	s.wait(key)
	return s.memory.Write(ctx, key, mediaType, content, replaces)
}

func (s *slow) wait(key string) {
	if s.waits != nil {
		s.waits(key)
	}
}

// Two savers begin to finish at the same time, and one is done before the other one has written the manifest. It
// deletes none of the other one's parts.
func TestFinishTogether(t *testing.T) {
	t.Parallel()
	for name, format := range map[string]string{"same format": testSettings.format, "another format": "jsonl.gz"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMemory()
				store := &slow{memory: m}
				a, b := openTest(t, m), openTest(t, store)
				b.o.format = format
				claim(t, a, "f1")
				all := sinktest.Chain("one", []int{1, -1}, []int{1, 1, 1, 1}, []int{2})
				commit(t, a, all, slices.Repeat([]sink.Outcome{sink.Committed}, 3)...)
				if err := b.Refresh(t.Context()); err != nil {
					t.Fatal(err)
				}
				begun, done := make(chan struct{}), make(chan struct{})
				store.waits = func(key string) {
					switch key {
					case b.entryKey(b.state.Load().number + 1): // b knows of no generation
						<-begun
					case b.manifestKey(): // b has written its parts
						<-done
					}
				}
				m.before = func(key string) error {
					if strings.Contains(key, string(outputParts)) && !isClosed(begun) { // a has begun, and writes its first part
						close(begun)
						synctest.Wait() // until b has come to the manifest
					}
					return nil
				}
				var other sync.WaitGroup
				other.Go(func() {
					if _, err := b.Finish(t.Context(), 3, 7); err != nil {
						t.Error(err)
					}
				})
				synctest.Wait()
				if _, err := a.Finish(t.Context(), 3, 7); err != nil {
					t.Error(err)
				}
				close(done)
				other.Wait()
				_, outputs, dead := sinktest.Expect(all...)
				wantResult(t, m, outputs, dead)
				if err := a.Refresh(t.Context()); err != nil || b.Summary().Output == "" {
					t.Errorf("refresh: %v; the job of the other saver is not finished", err)
				}
			})
		})
	}
}

func isClosed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

var errNoSpace = fmt.Errorf("quota: %w", bucket.ErrFull)
