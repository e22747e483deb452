package objectsink

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/sink/sinktest"
)

// A story is the life of a sink, in steps that may be repeated.
type story struct {
	steps []func(t *testing.T, s *Sink)
	// results are what a reader of the manifest may find: nothing, and what each Finish has written.
	results [][]sink.Result
	// least is, for each step, the first of the results that a reader may find once the steps before it are done.
	least []int
}

func newStory() *story {
	all := sinktest.Chain("one", []int{1, 1}, []int{2, -1}, []int{0}, []int{-1, -1}, []int{1}, []int{3, 0, 1}, []int{1})
	pieces := sinktest.Pieces(all[5], 1)
	mended := sinktest.Chain("two", []int{1, 1}, []int{2, 1})[1]
	again := sinktest.Result(4, all[4].First, "three", 2)
	again.Version = "v2"
	for i := range all {
		if i != 4 {
			all[i].Version = "v2"
		}
	}
	mended.Version = "v2"
	for i := range pieces {
		pieces[i].Version = "v2"
	}
	story := &story{results: [][]sink.Result{
		nil,
		slices.Concat(all[:5], pieces, all[6:]),
		slices.Concat(all[:1], []sink.Result{mended}, all[2:5], pieces, all[6:]),
		slices.Concat(all[:1], []sink.Result{mended}, all[2:4], []sink.Result{again}, pieces, all[6:]),
	}}
	finished := 0
	step := func(do func(t *testing.T, s *Sink)) {
		story.least = append(story.least, finished)
		story.steps = append(story.steps, do)
	}
	group := func(results ...sink.Result) {
		step(func(t *testing.T, s *Sink) {
			outcomes, err := s.Commit(t.Context(), results)
			if err != nil || slices.ContainsFunc(outcomes, func(o sink.Outcome) bool { return !o.Durable() }) {
				t.Fatalf("commit: %v, %v", outcomes, err)
			}
		})
	}
	finish := func() {
		step(func(t *testing.T, s *Sink) {
			if _, err := s.Finish(t.Context(), 7, 12); err != nil {
				t.Fatal(err)
			}
		})
		finished++
	}
	step(func(t *testing.T, s *Sink) { claim(t, s, "f1") })
	group(all[1], all[0], pieces[1])
	group(all[3])
	group(all[6], pieces[0], all[4], all[2])
	finish()
	step(func(t *testing.T, s *Sink) {
		if err := sinktest.Replace(t, s, mended); err != nil {
			t.Fatal(err)
		}
	})
	finish()
	step(func(t *testing.T, s *Sink) {
		if _, err := s.Redo(t.Context(), "v1"); err != nil {
			t.Fatal(err)
		}
	})
	step(func(t *testing.T, s *Sink) { claim(t, s, "f2") })
	group(again)
	finish()
	story.least = append(story.least, finished)
	return story
}

// seen returns which of the results a reader of the bucket finds.
func (story *story) seen(t *testing.T, m *memory) int {
	t.Helper()
	outputs, dead, names := readResult(t, m)
	for i, results := range story.results {
		_, wantOutputs, wantDead := sinktest.Expect(results...)
		if (i == 0) == (names == nil) && bytes.Equal(outputs, wantOutputs) && bytes.Equal(dead, wantDead) {
			return i
		}
	}
	t.Fatalf("a reader finds a mixture: outputs %q, dead letters %q", outputs, dead)
	return 0
}

// TestCrash ends the process after each single write and deletion. A reader of the manifest finds an old result or the
// new one. A new process continues, and has the whole result in the end.
func TestCrash(t *testing.T) {
	t.Parallel()
	story, m := newStory(), newMemory()
	type moment struct {
		step int // in progress
		m    *memory
	}
	var moments []moment
	step := 0
	m.after = func(string) error {
		moments = append(moments, moment{step, m.copy()})
		return nil
	}
	s := openTest(t, m)
	for step = range story.steps {
		story.steps[step](t, s)
	}
	if len(moments) < 30 {
		t.Fatalf("the story has only %d moments", len(moments))
	}
	before := 0
	for n, now := range moments {
		is := story.seen(t, now.m)
		if is < before || is < story.least[now.step] || is > story.least[now.step]+1 {
			t.Errorf("moment %d, in step %d: a reader finds result %d after result %d", n, now.step, is, before)
		}
		before = is
		again := openTest(t, now.m)
		for _, do := range story.steps[now.step:] {
			do(t, again)
		}
		_, outputs, dead := sinktest.Expect(story.results[len(story.results)-1]...)
		wantResult(t, now.m, outputs, dead)
		if t.Failed() {
			t.Fatalf("it was killed in step %d, at moment %d", now.step, n)
		}
	}
}

// A process that is killed in Finish before other results are committed leaves parts. A later Finish deletes them.
func TestCrashBeforeAnotherResult(t *testing.T) {
	t.Parallel()
	all := sinktest.Chain("one", []int{1, -1}, []int{1, 1, 1, 1}, []int{2})
	mended := sinktest.Chain("two", []int{1, 1})[0]
	for n := 0; ; n++ {
		m := newMemory()
		s := openTest(t, m)
		claim(t, s, "f1")
		commit(t, s, all, sink.Committed, sink.Committed, sink.Committed)
		var killed *memory
		left := n
		m.after = func(string) error {
			if left--; left < 0 && killed == nil {
				killed = m.copy()
			}
			return nil
		}
		finish(t, s, m, all)
		if killed == nil {
			if n < 5 {
				t.Errorf("Finish has only %d steps", n)
			}
			return
		}
		again := openTest(t, killed)
		if err := sinktest.Replace(t, again, mended); err != nil {
			t.Fatal(err)
		}
		finish(t, again, killed, []sink.Result{mended, all[1], all[2]})
	}
}

// Another version of the program may compress the parts of a Finish that was killed otherwise. Then they are made anew.
func TestPartsOfAnotherVersion(t *testing.T) {
	t.Parallel()
	m := newMemory()
	s := openTest(t, m)
	claim(t, s, "f1")
	all := sinktest.Chain("one", []int{1, -1}, []int{1, 1, 1, 1}, []int{2})
	commit(t, s, all, sink.Committed, sink.Committed, sink.Committed)
	var killed *memory
	m.after = func(key string) error {
		if killed == nil && strings.Contains(key, string(outputParts)) {
			killed = m.copy()
			killed.put(key, []byte("the same, compressed otherwise"))
		}
		return nil
	}
	finish(t, s, m, all)
	finish(t, openTest(t, killed), killed, all)
}

// A part or the manifest that was deleted is written again, under the same name.
func TestDeletedResult(t *testing.T) {
	t.Parallel()
	m := newMemory()
	s := openTest(t, m)
	claim(t, s, "f1")
	all := sinktest.Chain("one", []int{1, -1}, []int{2})
	commit(t, s, all, sink.Committed, sink.Committed)
	finish(t, s, m, all)
	whole := m.copy().objects
	for key := range whole {
		if s.entryNumber(key) > 0 {
			continue
		}
		delete(m.objects, key)
		finish(t, s, m, all)
		if !bytes.Equal(m.objects[key].content, whole[key].content) {
			t.Errorf("%s is %q now, and was %q", key, m.objects[key].content, whole[key].content)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); !errors.Is(err, sink.ErrClosed) {
		t.Errorf("second close: %v", err)
	}
}
