package transform

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// own checks that each output is of the object it is counted for.
func own(t *testing.T, b []byte, out Output) {
	t.Helper()
	lines := strings.Split(string(out.Lines), "\n")
	for i, object := range strings.Split(strings.TrimSpace(string(b)), "\n") {
		var in, got wish
		if err := json.Unmarshal([]byte(object), &in); err != nil {
			t.Fatal(err)
		}
		for range out.Counts[i] {
			if err := json.Unmarshal([]byte(lines[0]), &got); err != nil {
				t.Fatalf("output %q: %v", lines[0], err)
			}
			if got.ID != in.ID {
				t.Errorf("object %d has the answer of %d", in.ID, got.ID)
			}
			lines = lines[1:]
		}
	}
}

// The second line comes after the next object was written: everything behind
// it would shift.
func TestExecLateLine(t *testing.T) {
	t.Parallel()
	inModes(t, func(t *testing.T, trusted bool) {
		b := wishes(wish{ID: 0}, wish{ID: 1, Do: "late"}, wish{ID: 2}, wish{ID: 3}, wish{ID: 4})
		out := mustRun(t, newFake(t, trusted), b, nil, Options{})
		wantLines(t, out, `{"id":0}`, `{"id":1}`, `{"id":2}`, `{"id":3}`, `{"id":4}`)
		wantFailed(t, out)
	})
}

// A program that prints a line for each element: two here, none there. The
// number of lines is right, the lines are not.
func TestExecFlatMap(t *testing.T) {
	t.Parallel()
	inModes(t, func(t *testing.T, trusted bool) {
		p := newFake(t, trusted)
		b := wishes(wish{ID: 0}, wish{ID: 1, Do: "two"}, wish{ID: 2, Do: "none"}, wish{ID: 3})
		out := mustRun(t, slowFake{p, wide{p, `"none"`}}, b, nil, Options{})
		wantLines(t, out, `{"id":0}`, `{"id":3}`)
		wantFailed(t, out, 1, "more than one line", 2, errTestTime.Error())
	})
}

// A first line that is no answer shifts all of them, and is valid JSON. It is
// reported, and costs no object.
func TestExecBanner(t *testing.T) {
	t.Parallel()
	inModes(t, func(t *testing.T, trusted bool) {
		p := newFake(t, trusted, `say={"ready":true}`)
		out := mustRun(t, p, wishes(wish{ID: 0}, wish{ID: 1}), nil, Options{})
		wantLines(t, out, `{"id":0}`, `{"id":1}`)
		wantFailed(t, out)
		if got := p.log.to.(*lockedBuffer).String(); strings.Count(got, bannerHint) != 1 {
			t.Errorf("no warning: %q", got)
		}
	})
}

// A process that fails after unconfirmed answers may have taken the
// surplus line with it: they are asked for again. The program is trusted as before.
func TestExecDoubtfulFailure(t *testing.T) {
	t.Parallel()
	var touched []int
	p := newFake(t, true)
	trusted, doubted := true, false
	before := func(index int) error {
		if trusted && index == 1 && !slices.Contains(touched, 1) {
			p.unchecked = 1 // on a slow machine a wait follows the answers
			doubted = true
		}
		touched = append(touched, index)
		return nil
	}
	b := wishes(wish{ID: 0}, wish{ID: 1, Do: "crash"}, wish{ID: 2})
	out := mustRun(t, p, b, nil, Options{Before: before})
	wantLines(t, out, `{"id":0}`, `{"id":2}`)
	wantFailed(t, out, 1, "exit status 3")
	if got := fmt.Sprint(touched); got != "[0 1 0 1 2]" && got != "[0 1 1 2]" || !doubted {
		t.Errorf("touched %s, want object 1 again, and 0 if no silence followed", got)
	}
	if p.trust != trustAfter {
		t.Errorf("trust is %d after a process ended: no line was wrong", p.trust)
	}

	// Now it is not trusted: its answers are followed by a wait.
	touched, trusted, p.trust = nil, false, 0
	mustRun(t, p, b, nil, Options{Before: before})
	if got, want := fmt.Sprint(touched), "[0 1 2]"; got != want {
		t.Errorf("touched %s, want %s", got, want)
	}
}

// A surplus line that is there before the next object is written makes all
// answers of the chunk doubtful; the end of the process does not.
func TestExecBetweenObjects(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, want string
		happens    func(p *program)
	}{
		{"line", "[0 1 2 0 1 2]", func(p *program) { p.child.buf = append(p.child.buf, "1\n"...) }},
		{"end", "[0 1 2]", func(p *program) { p.child.stdin.Close(); <-p.child.dead }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := newFake(t, true)
			var touched []int
			b := wishes(wish{ID: 0}, wish{ID: 1}, wish{ID: 2})
			out := mustRun(t, p, b, nil, Options{Before: func(index int) error {
				touched = append(touched, index)
				if index == 2 && p.level == 0 {
					p.unchecked = 2
					c.happens(p)
				}
				return nil
			}})
			wantLines(t, out, `{"id":0}`, `{"id":1}`, `{"id":2}`)
			wantFailed(t, out)
			if got := fmt.Sprint(touched); got != c.want {
				t.Errorf("touched %s, want %s", got, c.want)
			}
		})
	}
}

// When a wait follows an answer, and when it is left out.
func TestExecConfirm(t *testing.T) {
	t.Parallel()
	p := newFake(t, false)
	mustRun(t, p, wishes(wish{ID: 0}), nil, Options{})
	for _, c := range []struct {
		name      string
		trust     int
		took      time.Duration
		unchecked int
	}{
		{"new", 0, 1, 0},
		{"almost trusted", trustAfter - 1, slowAnswer - 1, 0},
		{"trusted", trustAfter, 1, 1},
		{"trusted and fast", trustAfter, slowAnswer - 1, 1},
		{"trusted and slow", trustAfter, slowAnswer, 0},
		{"no answer", trustAfter, 0, 0},
	} {
		p.trust, p.pending, p.unchecked = c.trust, c.took, 0
		if err := p.confirm(t.Context()); err != nil || p.unchecked != c.unchecked {
			t.Errorf("%s: %v, %d without a wait, want %d", c.name, err, p.unchecked, c.unchecked)
		}
		if p.pending != 0 {
			t.Errorf("%s: the answer is still not confirmed", c.name)
		}
	}
}

// A line that comes when its chunk is over cannot hurt the next one.
func TestExecLineBetweenChunks(t *testing.T) {
	t.Parallel()
	p := newFake(t, true)
	b := wishes(wish{ID: 0}, wish{ID: 1})
	mustRun(t, p, b, nil, Options{})
	p.child.buf = append(p.child.buf, `{"id":1}`...) // as if it had come now
	first := p.child
	out := mustRun(t, p, b, nil, Options{})
	own(t, b, out)
	wantFailed(t, out)
	if p.child == first {
		t.Error("the process was not replaced")
	}
	if got := p.log.to.(*lockedBuffer).String(); !strings.Contains(got, "one line for each object") {
		t.Errorf("no warning: %q", got)
	}
}

// Trust is earned by 100 answers, and lost with one surprise.
func TestExecTrust(t *testing.T) {
	t.Parallel()
	p := newFake(t, false)
	var all []wish
	for i := range trustAfter + 20 {
		all = append(all, wish{ID: i})
	}
	mustRun(t, p, wishes(all...), nil, Options{})
	if p.trust != trustAfter || p.unchecked > 20 {
		t.Errorf("after %d good answers: trust %d, %d without a wait", len(all), p.trust, p.unchecked)
	}
	mustRun(t, p, wishes(wish{ID: 0}, wish{ID: 1, Do: "two"}), nil, Options{})
	if p.trust >= trustAfter {
		t.Errorf("trust is %d after an object with two lines", p.trust)
	}
}

func TestExecSurplusWait(t *testing.T) {
	t.Parallel()
	for longest, want := range map[time.Duration]time.Duration{
		0: waitLeast, time.Millisecond: waitLeast, 30 * time.Millisecond: 30 * time.Millisecond, time.Hour: waitMost,
	} {
		if got := (&watch{longest: longest}).surplusWait(); got != want {
			t.Errorf("wait after %v: %v, want %v", longest, got, want)
		}
	}
}

// Any mix of misbehaviour: no object ever has the answer of another one, and
// those that behave are saved.
func TestExecNeverShifts(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(seed, 1))
			p := newFake(t, seed%2 == 0)
			for range 2 {
				var all []wish
				for i := range 5 + random.IntN(20) {
					w := wish{ID: i}
					if random.IntN(4) == 0 {
						w.Do = []string{"two", "crash", "garbage", "empty", "error", "exit", "crlf", "partial"}[random.IntN(8)]
					}
					all = append(all, w)
				}
				b := wishes(all...)
				out := mustRun(t, p, b, nil, Options{})
				own(t, b, out)
				failed := map[int]bool{}
				for _, f := range out.Failed {
					failed[f.Index] = true
				}
				for i, w := range all {
					bad := slices.Contains([]string{"two", "crash", "garbage", "error", "partial"}, w.Do)
					if failed[i] != bad {
						t.Errorf("object %d (%q): failed %v, want %v: %v", i, w.Do, failed[i], bad, out.Failed)
					}
				}
			}
		})
	}
}
