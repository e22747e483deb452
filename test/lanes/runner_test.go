package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// play runs lanes and returns the order in which they began.
func play(t *testing.T, lanes ...lane) (r *runner, order []string) {
	t.Helper()
	r, err := newRunner(t.TempDir(), lanes, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	r.run(t.Context())
	began := slices.Clone(r.lanes)
	slices.SortStableFunc(began, func(a, b lane) int { return int(a.began - b.began) })
	for _, l := range began {
		if l.state != notRun {
			order = append(order, l.name)
		}
	}
	return r, order
}

func computes(name, command string, seconds int, after ...string) lane {
	return lane{entry: entry{name: name, seconds: seconds, after: after}, command: command}
}

func waits(name, command string, seconds int, after ...string) lane {
	l := computes(name, command, seconds, after...)
	l.waits = true
	return l
}

// One lane that computes runs beside one that waits; of each kind the longest begins first.
func TestOrder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	// Each of the long ones ends only when the other one runs, and no lane finds another one of its kind.
	long := func(kind, name, other string) string {
		return "mkdir " + path(kind) + "; touch " + path(name) + "; until test -e " + path(other) + "; do sleep 0.01; done; rmdir " + path(kind)
	}
	short := func(kind string) string { return "mkdir " + path(kind) + "; rmdir " + path(kind) }
	r, order := play(t,
		computes("c1", short("computing"), 1), computes("c2", short("computing"), 20), computes("c3", long("computing", "c3", "w3"), 30),
		waits("w1", short("waiting"), 2), waits("w2", short("waiting"), 25), waits("w3", long("waiting", "w3", "c3"), 35),
	)
	if failed := r.failed(); len(failed) > 0 {
		t.Errorf("failed: %v, which ran beside another lane of its kind", failed)
	}
	if want := []string{"w3", "c3"}; len(order) != 6 || !slices.Equal(order[:2], want) {
		t.Errorf("lanes began in the order %v, want %v and then the short ones", order, want)
	}
	for _, pair := range [][2]string{{"c2", "c1"}, {"w2", "w1"}} {
		if slices.Index(order, pair[0]) > slices.Index(order, pair[1]) {
			t.Errorf("lanes began in the order %v, want %s before %s, which is shorter", order, pair[0], pair[1])
		}
	}
}

// Lanes that compute run at a lower priority than those that wait or run alone.
func TestPriority(t *testing.T) {
	t.Parallel()
	lonely := computes("alone", "nice", 1)
	lonely.alone = true
	r, _ := play(t, computes("computing", "nice", 1), waits("waiting", "nice", 1), lonely)
	ours, err := exec.Command("nice").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range r.lanes {
		text, err := os.ReadFile(r.log(&l))
		if lower := string(text) != string(ours); err != nil || lower != (l.name == "computing") {
			t.Errorf("%s runs at priority %q (%v), this test at %q", l.name, text, err, ours)
		}
	}
}

// A lane that runs alone begins when no other runs, and the next ones when it has ended.
func TestAlone(t *testing.T) {
	t.Parallel()
	log := filepath.Join(t.TempDir(), "log")
	note := func(word string) string { return "echo " + word + " >>" + log }
	alone := computes("alone", note("alone-begins")+"; sleep 0.05; "+note("alone-ends"), 1)
	alone.alone = true
	play(t, alone, waits("other", note("other"), 100))
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	if want := "alone-begins\nalone-ends\nother\n"; string(text) != want {
		t.Errorf("what ran is %q, want %q", text, want)
	}
}

// A lane whose need has failed does not run, and counts as failed; the others run.
func TestNeeds(t *testing.T) {
	t.Parallel()
	r, order := play(t,
		computes("bad", "exit 3", 1),
		computes("needs bad", "true", 9, "bad"),
		computes("good", "true", 1),
		computes("needs good", "true", 9, "good"),
		computes("needs one that is not chosen", "true", 1, "elsewhere"),
	)
	if slices.Contains(order, "needs bad") || !slices.Contains(order, "needs good") || len(order) != 4 {
		t.Errorf("ran %v, want all but the one that needs bad", order)
	}
	if got, want := r.failed(), []string{"bad", "needs bad"}; !slices.Equal(got, want) {
		t.Errorf("failed: %v, want %v", got, want)
	}
	table := r.table()
	if !strings.Contains(table, "not run") || strings.Count(table, "FAILED") != 1 || strings.Count(table, " ok ") != 3 {
		t.Errorf("the table is\n%s", table)
	}
}

// Each lane has a TMPDIR of its own, and its output goes to its log.
func TestOutput(t *testing.T) {
	t.Parallel()
	r, _ := play(t, computes("a", `test -d "$TMPDIR"; echo "$TMPDIR"`, 1), computes("b", `echo "$TMPDIR" >&2`, 1))
	for _, name := range []string{"a", "b"} {
		text, err := os.ReadFile(filepath.Join(r.dir, name+".log"))
		if want := filepath.Join(r.dir, name) + "\n"; err != nil || string(text) != want {
			t.Errorf("the log of %s is %q (%v), want %q", name, text, err, want)
		}
	}
}

// Of a lane that failed lanes prints the beginning of each test that failed, and how to repeat it; without a test, the
// end.
func TestExplain(t *testing.T) {
	t.Parallel()
	testing := `echo "ok a"; echo "--- FAIL: TestA (1s)"; seq -f a%.0f 100; echo "=== FAIL: b TestB"; echo b1; seq -f "ok %.0f" 100; exit 1`
	r, _ := play(t, computes("tests", testing, 1), computes("script", "seq -f line%.0f 100; exit 1", 1), computes("good", "echo fine", 1))
	var out strings.Builder
	r.out = &out
	r.explain()
	for text, want := range map[string]bool{
		"tests failed: exit status 1": true, "--- FAIL: TestA (1s)": true, "a1\n": true, "a50\n": false, "TestB": true, "b1\n": true, "    ok a": false, testing: true,
		"script failed": true, "line61\n": true, "line60\n": false, "line100\n": true, "good": false, "fine": false,
	} {
		if strings.Contains(out.String(), text) != want {
			t.Errorf("%q is in the explanation: %t, want %t", text, !want, want)
		}
	}
	if t.Failed() {
		t.Log(out.String())
	}
}

// A lane that is interrupted ends, and is not ok; no other one begins.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	begun := filepath.Join(t.TempDir(), "begun")
	if err := syscall.Mkfifo(begun, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	r, err := newRunner(t.TempDir(), []lane{computes("long", "echo >"+begun+"; sleep 1000", 1), computes("later", "true", 1, "long")}, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	defer wait.Wait()
	wait.Go(func() {
		_, _ = os.ReadFile(begun) // returns when the lane has written
		cancel()
	})
	r.run(ctx)
	if got := r.failed(); len(got) != 2 {
		t.Errorf("failed: %v, want both", got)
	}
}

// Chosen lanes bring along what they need; unknown names and sets are errors.
func TestChoose(t *testing.T) {
	t.Parallel()
	lanes, err := choose("ci", []string{"cluster"})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, l := range lanes {
		names = append(names, l.name)
	}
	if want := []string{"images", "cluster-up", "cluster"}; !slices.Equal(names, want) {
		t.Errorf("cluster brings %v, want %v", names, want)
	}
	for _, wrong := range [][]string{{"nothing"}, {"ci", "nothing"}} {
		if _, err := choose(wrong[0], wrong[1:]); err == nil || !strings.Contains(err.Error(), `"nothing"`) {
			t.Errorf("%v: %v, want an error that names it", wrong, err)
		}
	}
}

// Every need of the table is a lane, and comes before the lane that has it.
func TestTable(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, e := range table {
		if e.name == "" || e.about == "" || e.ci == "" && e.all == "" || e.seconds <= 0 || seen[e.name] {
			t.Errorf("%+v: want a name of its own, what it shows, a command and its seconds", e)
		}
		for _, need := range e.after {
			if !seen[need] {
				t.Errorf("%s needs %s, which does not come before it", e.name, need)
			}
		}
		seen[e.name] = true
	}
}
