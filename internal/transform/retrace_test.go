package transform

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// scripted is a supervised transform that says itself when it fails.
type scripted struct {
	crashes  map[string]int // object: how often a process ends at it
	silences []string       // objects that a silence follows
	calls    []string
	doubtful int
	stepping bool
}

func (s *scripted) Begin(context.Context) error { return nil }
func (s *scripted) End(context.Context) error   { return nil }
func (s *scripted) Close() error                { return nil }
func (s *scripted) abort()                      {}
func (s *scripted) strict(int)                  { s.calls = append(s.calls, "strict") }
func (s *scripted) step(on bool)                { s.stepping = on }
func (s *scripted) proven() bool                { return s.doubtful == 0 }

func (s *scripted) prove(context.Context) error {
	s.calls = append(s.calls, "prove")
	s.doubtful = 0
	return nil
}

func (s *scripted) confirm(context.Context) error {
	if s.stepping {
		s.doubtful = 0
	}
	return nil
}

func (s *scripted) Map(_ context.Context, object, dst []byte) ([]byte, error) {
	name := string(object)
	s.calls = append(s.calls, name)
	if s.crashes[name] > 0 {
		s.crashes[name]--
		doubt := s.doubtful > 0
		s.doubtful = 0
		if doubt {
			return dst, errUnproved
		}
		return dst, &faultError{text: "crash"}
	}
	s.doubtful++
	if slices.Contains(s.silences, name) {
		s.doubtful = 0
	}
	return append(append(dst, object...), '\n'), nil
}

// When a process ends, objects whose answers a silence has confirmed are not sent again. The others
// are, without waits, and the object at which the process ended comes after a confirmed one.
func TestRetrace(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		crashes  map[string]int
		silences string
		calls    string
		failed   []any
	}{
		{"none", nil, "", "0 1 2 3 4 5", nil},
		{"all proved", map[string]int{"3": 1}, "0 1 2 3 4 5", "0 1 2 3 3 4 5", nil},
		{"nothing proved", map[string]int{"3": 1}, "", "0 1 2 3 0 1 2 prove 3 4 5", nil},
		{"some proved", map[string]int{"3": 1}, "1", "0 1 2 3 2 prove 3 4 5", nil},
		{"always ends", map[string]int{"3": 9}, "1", "0 1 2 3 2 prove 3 4 5", []any{3, "failed again in a new process: crash"}},
		{"two", map[string]int{"2": 9, "4": 9}, "", "0 1 2 0 1 prove 2 3 4 3 prove 4 5", []any{2, "crash", 4, "crash"}},
		{"again on the way", map[string]int{"3": 1, "1": 1}, "", "0 1 0 prove 1 2 3 1 2 prove 3 4 5", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := &scripted{crashes: c.crashes, silences: strings.Fields(c.silences)}
			b := body("0", "1", "2", "3", "4", "5")
			out := mustRun(t, s, b, nil, Options{})
			wantFailed(t, out, c.failed...)
			var want []string
			for i := range 6 {
				if !slices.ContainsFunc(out.Failed, func(f Failure) bool { return f.Index == i }) {
					want = append(want, fmt.Sprint(i))
				}
			}
			wantLines(t, out, want...)
			if got := strings.Join(s.calls, " "); got != c.calls {
				t.Errorf("calls %s, want %s", got, c.calls)
			}
		})
	}
}

// A program that ends at random comes to the end of its chunk: after the second
// failure on the same way each answer is proved.
func TestRetraceMoves(t *testing.T) {
	t.Parallel()
	s := &scripted{crashes: map[string]int{}}
	out := mustRun(t, &endsInTurn{scripted: s, order: []string{"3", "2", "1"}}, body("0", "1", "2", "3"), nil, Options{})
	wantLines(t, out, "0", "1", "2", "3")
	wantFailed(t, out)
	if got, want := strings.Join(s.calls, " "), "0 1 2 3 0 1 2 0 1 1 prove 2 3"; got != want {
		t.Errorf("calls %s, want %s", got, want)
	}
}

// endsInTurn ends at the objects of order, one after the other.
type endsInTurn struct {
	*scripted
	order []string
}

func (e *endsInTurn) Map(ctx context.Context, object, dst []byte) ([]byte, error) {
	if len(e.order) > 0 && e.order[0] == string(object) {
		e.order = e.order[1:]
		e.crashes[string(object)] = 1
	}
	return e.scripted.Map(ctx, object, dst)
}

// The start of a process is no answer time: nothing waits for it but the first
// answer of a process in a chunk that is done again, and the end of the first chunk.
func TestWatchLeavesOutTheStart(t *testing.T) {
	t.Parallel()
	var w watch
	w.heard(1200*time.Millisecond, true)
	if got := w.surplusWait(); got != waitMost {
		t.Errorf("after the first answer: %v, want %v", got, waitMost)
	}
	w.heard(5*time.Millisecond, false)
	for name, got := range map[string]time.Duration{"surplus wait": w.surplusWait(), "proof": w.proof()} {
		if got != 5*time.Millisecond {
			t.Errorf("%s: %v, want the longest answer without the start", name, got)
		}
	}
	if got := w.atEnd(); got != waitMost {
		t.Errorf("at the end of the first chunk: %v, want %v", got, waitMost)
	}
	w.known = true
	if got := w.atEnd(); got != 5*time.Millisecond {
		t.Errorf("at the end of another chunk: %v, want the longest answer", got)
	}
}

// A silence proves what came before it if it is as long as the longest answer.
func TestWatchProof(t *testing.T) {
	t.Parallel()
	w := watch{longest: 10 * time.Millisecond, unchecked: 3, unproved: time.Second}
	w.silent(9 * time.Millisecond)
	if w.proven() {
		t.Error("a short silence proves answers")
	}
	w.silent(10 * time.Millisecond)
	if !w.proven() || w.unproved != 0 {
		t.Error("a silence as long as the longest answer proves nothing")
	}
}

// After the first failure a process waits for the next one.
func TestExecSpare(t *testing.T) {
	t.Parallel()
	p := newFake(t, false)
	dir := t.TempDir()
	mustRun(t, p, wishes(wish{ID: 0}), nil, Options{})
	if p.spare != nil {
		t.Fatal("a program that never failed has a spare")
	}
	mustRun(t, p, wishes(wish{ID: 1, Do: "crash", Mark: filepath.Join(dir, "1")}), nil, Options{})
	spare := p.spare
	if spare == nil || spare == p.child {
		t.Fatal("there is no spare after a failure")
	}
	out := mustRun(t, p, wishes(wish{ID: 2, Do: "crash", Mark: filepath.Join(dir, "2")}), nil, Options{})
	wantLines(t, out, `{"id":2}`)
	if p.child != spare {
		t.Error("the spare did not take over")
	}
	if p.spare == nil || p.spare == spare {
		t.Error("there is no new spare")
	}
	last := p.spare
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if !last.isDead() {
		t.Error("the spare outlives its program")
	}
}

// A spare that does not wait for an object is of no use.
func TestExecSpareThatEnds(t *testing.T) {
	t.Parallel()
	p := newFake(t, false)
	dir := t.TempDir()
	mustRun(t, p, wishes(wish{Do: "crash", Mark: filepath.Join(dir, "1")}), nil, Options{})
	spare := p.spare
	spare.signal(15)
	<-spare.dead
	out := mustRun(t, p, wishes(wish{ID: 2, Do: "crash", Mark: filepath.Join(dir, "2")}), nil, Options{})
	wantLines(t, out, `{"id":2}`)
	if p.child == spare || p.spare != nil {
		t.Error("it is used, or there is another one")
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}
