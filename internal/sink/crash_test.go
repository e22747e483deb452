package sink_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/sink/sinktest"
)

// story is one life of a folder: opened, claimed, filled in groups, finished. Parts roll over, and there are all kinds of
// results.
type story struct {
	groups [][]sink.Result
	all    []sink.Result // in the order of the IDs, then From
	o      sink.FolderOptions
	output string // name of the ordered outputs in the folder
}

// in returns the options of a folder.
func (s story) in(dir string) sink.FolderOptions {
	o := s.o
	o.Output = filepath.Join(dir, s.output)
	return o
}

func newStory() story {
	all := sinktest.Chain("one", []int{1, 1}, []int{2, -1}, []int{0}, []int{-1, -1}, []int{1}, []int{3, 0, 1}, []int{1})
	second, sixth := sinktest.Pieces(all[1], 1), sinktest.Pieces(all[5], 1)
	return story{
		groups: [][]sink.Result{{second[1], all[0]}, {all[3]}, {all[2], sixth[1]}, {all[6], sixth[0], second[0], all[4]}},
		all:    slices.Concat(all[:1], second, all[2:5], sixth, all[6:]),
		o:      sink.FolderOptions{PartBytes: 150},
		output: "output.jsonl",
	}
}

// confirmed is what the folder has confirmed to its callers so far.
type confirmed struct {
	claimed  bool
	groups   int  // committed groups
	fenced   bool // a version was fenced
	finished bool // no group was committed since
	trying   bool // another group is in progress
}

// TestCrashAtEveryStep stops the story after every single step on disk, in three ways, opens the folder again, and
// continues the story from there. Until the story finishes, no step depends on the format of the output.
func TestCrashAtEveryStep(t *testing.T) {
	t.Parallel()
	for output, from := range map[string]int{"output.jsonl": 0, "output.csv.gz": len(newStory().groups), "output.parquet": len(newStory().groups)} {
		t.Run(output, func(t *testing.T) {
			t.Parallel()
			s := newStory()
			s.output = output
			s.crashAtEveryStep(t, from)
		})
	}
}

// crashAtEveryStep stops the story after every step on disk from the confirmation of so many groups on. It continues only
// once from two crashes that leave the same files.
func (s story) crashAtEveryStep(t *testing.T, from int) {
	home, copies := t.TempDir(), t.TempDir()
	dir := filepath.Join(home, "deep", "sink")
	disk := newCrashFS(t, home)
	var known confirmed
	type moment struct {
		dir   string
		at    step
		known confirmed
	}
	var moments []moment
	steps, seen := 0, make(map[string]bool)
	disk.after = func(at step) {
		if known.groups < from {
			return
		}
		steps++
		for what, dice := range certain {
			left := fmt.Sprintf("%v: %s", known, disk.platter.left(dice))
			if seen[left] {
				continue
			}
			seen[left] = true
			to := filepath.Join(copies, fmt.Sprintf("%04d-%d", len(moments), what))
			disk.platter.crash(t, to, dice)
			moments = append(moments, moment{to, at, known})
		}
	}
	f := openOn(t, disk, dir, s.in(dir))
	claim(t, f)
	known.claimed = true
	for _, g := range s.groups {
		commit(t, f, g...)
		known.groups++
		if known.groups == 2 {
			if err := f.FenceVersion(t.Context(), "bad", 1); err != nil {
				t.Fatal(err)
			}
			known.fenced = true
		}
	}
	sum := finish(t, f, s.all...)
	known.finished = true
	if err := disk.Remove(sum.DeadFile); err != nil {
		t.Fatal(err)
	}
	finish(t, f, s.all...)
	closeIt(t, f)

	for _, m := range moments {
		t.Run(fmt.Sprintf("%s after %s %s", filepath.Base(m.dir), m.at.op, filepath.Base(m.at.path)), func(t *testing.T) {
			t.Parallel()
			s.resume(t, filepath.Join(m.dir, "deep", "sink"), m.known)
		})
	}
	if steps < 30 || len(moments) < steps {
		t.Errorf("the story has only %d steps, and %d moments: are all steps counted?", steps, len(moments))
	}
	t.Logf("%d steps, %d moments", steps, len(moments))
}

// resume opens the folder after a crash, checks it and continues to the end.
func (s story) resume(t *testing.T, dir string, known confirmed) {
	t.Helper()
	o := s.in(dir)
	o.DeadFile = filepath.Join(dir, "dead.jsonl")
	sum, outputs, dead := sinktest.Expect(s.all...)
	outputs = sinktest.Content(o.Output, outputs)
	s.wantWholeOrNone(t, o.Output, outputs)
	if known.finished {
		wantFile(t, o.Output, outputs)
	}
	s.wantWholeOrNone(t, o.DeadFile, dead)
	f := openOn(t, newTestFS(), dir, o)
	if _, bound := f.Plan(); known.claimed && !bound {
		t.Fatal("the claim is lost")
	}
	if known.fenced && f.Term("bad") != 1 {
		t.Fatal("a version is not fenced any more")
	}
	if known.finished && f.Summary().Output == "" {
		t.Fatal("the finish is lost")
	}
	// One group more than was confirmed may be there, but only as a whole.
	there := known.groups
	if diff := compare(t, f, s.upTo(there)...); diff != "" {
		if there++; there > len(s.groups) {
			t.Fatalf("after %d groups: %s", known.groups, diff)
		}
		want(t, f, s.upTo(there)...)
	}
	claim(t, f)
	for i, g := range s.groups {
		outcomes, err := f.Commit(t.Context(), g)
		if err != nil {
			t.Fatal(err)
		}
		for _, got := range outcomes {
			if (got == sink.Duplicate) != (i < there) {
				t.Fatalf("group %d of %d: %v", i, there, outcomes)
			}
		}
	}
	if got := finish(t, f, s.all...); got.Objects != sum.Objects {
		t.Fatalf("finish: %+v", got)
	}
	want(t, f, s.all...)
	closeIt(t, f)
	f = openOn(t, newTestFS(), dir, o)
	if got := f.Recovered(); got != 0 {
		t.Fatalf("after a clean close something was recovered: %+v", got)
	}
	want(t, f, s.all...)
}

// upTo returns the results of the first n groups, in the order of all.
func (s story) upTo(n int) []sink.Result {
	in := make(map[piece]bool)
	for _, g := range s.groups[:n] {
		for _, r := range g {
			in[pieceOf(r)] = true
		}
	}
	var out []sink.Result
	for _, r := range s.all {
		if in[pieceOf(r)] {
			out = append(out, r)
		}
	}
	return out
}

// wantWholeOrNone: an ordered file is never half written.
func (s story) wantWholeOrNone(t *testing.T, path string, whole []byte) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err == nil && !bytes.Equal(got, whole) {
		t.Fatalf("%s is there with %d bytes of %d", filepath.Base(path), len(got), len(whole))
	}
}
