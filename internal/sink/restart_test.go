package sink_test

import (
	"errors"
	"math/rand/v2"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/sink/sinktest"
)

// TestKilledThenPowerCut kills the process at every step of its first opening, continues with another one, and cuts the
// power when that one has committed: the second process makes durable everything that the first left unsynced.
func TestKilledThenPowerCut(t *testing.T) {
	t.Parallel()
	for end := 1; ; end++ {
		home := t.TempDir()
		dir := filepath.Join(home, "very", "deep", "sink")
		disk := newCrashFS(t, home)
		steps := 0
		disk.before = func(step) error {
			if steps++; steps == end {
				disk.dead = true
				return errKilled
			}
			return nil
		}
		f, err := sink.OpenFolderOn(disk, dir, job, sink.FolderOptions{})
		reached := disk.dead
		if reached != (disk.alive(err) != nil) {
			t.Fatalf("step %d: %v", end, err)
		}
		if err == nil {
			disk.dead = true
			closeIt(t, f)
		}
		disk.dead = false
		disk.before = func(step) error { return nil }
		f = openOn(t, disk, dir, sink.FolderOptions{})
		claim(t, f)
		all := sinktest.Chain("", []int{1, -1}, []int{1})
		commit(t, f, all...)
		to := t.TempDir()
		disk.platter.crash(t, to, allLost)
		g := openOn(t, newTestFS(), filepath.Join(to, "very", "deep", "sink"), sink.FolderOptions{})
		if diff := compare(t, g, all...); diff != "" {
			t.Errorf("killed before step %d: what was committed is lost: %s", end, diff)
		}
		closeIt(t, g)
		if !reached {
			return
		}
	}
}

// TestKilledInCommitThenPowerCut kills the process when it has written a commit and not synced it, or when that sync
// failed. The next process reports what it finds, and commits more; then the power is cut. What it found must be on the
// platter by then.
func TestKilledInCommitThenPowerCut(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]error{"before the sync": errKilled, "the sync fails": syscall.EIO} {
		for seed := range uint64(16) {
			s := newStory()
			home := t.TempDir()
			disk := newCrashFS(t, home)
			dir := filepath.Join(home, "sink")
			var known confirmed
			syncs := 0
			disk.before = func(st step) error {
				if st.op != "sync" {
					return nil
				}
				if syncs++; syncs == 5 {
					disk.dead = errors.Is(end, errKilled)
					return end
				}
				return nil
			}
			if err := s.live(t, disk, dir, &known); !errors.Is(err, end) {
				t.Fatalf("%s: first life: %v", name, err)
			}
			disk.dead = false
			disk.before = func(step) error { return nil }
			f, err := sink.OpenFolderOn(disk, dir, job, s.o)
			if err != nil {
				t.Fatal(err)
			}
			known.trying = true
			s.checkResults(t, f, &known) // it has now reported the last group
			more := seed%2 == 0 && known.groups < len(s.groups)
			if more {
				claim(t, f)
				commit(t, f, s.groups[known.groups]...)
				known.groups++
			}
			to := t.TempDir()
			disk.platter.crash(t, to, dice{rng: rand.New(rand.NewPCG(seed, 0)), names: 1, data: 0.5, length: 1})
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
			if err := s.live(t, newTestFS(), filepath.Join(to, "sink"), &known); err != nil {
				t.Fatalf("%s: power cut %d: %v", name, seed, err)
			}
		}
	}
}

// TestUndoneThenFull: data that was undone on a full disk does not reappear in a part that is no longer the last.
func TestUndoneThenFull(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	dir := filepath.Join(home, "sink")
	disk := newCrashFS(t, home)
	o := sink.FolderOptions{PartBytes: 3000}
	f := openOn(t, disk, dir, o)
	claim(t, f)
	all := []sink.Result{big(0, 0, 50), big(1, 1, 3000), big(2, 2, 3000)}
	commit(t, f, all[0])
	disk.before = func(s step) error {
		if s.op == "write" {
			return errShort
		}
		return nil
	}
	if _, err := f.Commit(t.Context(), all[1:]); !errors.Is(err, sink.ErrFull) {
		t.Fatalf("commit: %v, want ErrFull", err)
	}
	disk.before = func(step) error { return nil }
	commit(t, f, all[2])
	commit(t, f, big(3, 3, 10)) // goes into the next part
	// The bytes of the undone group reached the platter, their truncation did not.
	for at := range 64 {
		to := t.TempDir()
		disk.platter.crash(t, to, dice{rng: rand.New(rand.NewPCG(uint64(at), 0)), names: 1, data: 0.9, length: 0.5})
		g := openOn(t, newTestFS(), filepath.Join(to, "sink"), o)
		want(t, g, all[0], all[2], big(3, 3, 10))
		closeIt(t, g)
	}
}
