package main

import (
	"context"
	"os"
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
		if l.state != waiting {
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

// Of the lanes that compute the longest begin first, two at a time; one that waits needs no place.
func TestOrder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	until := func(file string) string {
		return "until test -e " + filepath.Join(dir, file) + "; do sleep 0.01; done"
	}
	touch := func(file string) string { return "touch " + filepath.Join(dir, file) }
	// The two long ones end only when the one that waits has run beside them; the short one comes last.
	_, order := play(t,
		computes("short", "true", 1),
		computes("longer", until("waited"), 30),
		computes("longest", until("waited"), 40),
		waits("waits", touch("waited"), 5),
	)
	if want := []string{"longest", "longer", "waits", "short"}; !slices.Equal(order, want) {
		t.Errorf("lanes began in the order %v, want %v", order, want)
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
