package retry_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/retry"
	"github.com/chunkline/chunkline/internal/sink"
)

func contextOf(t tester) context.Context {
	if c, ok := t.(interface{ Context() context.Context }); ok {
		return c.Context()
	}
	return context.Background()
}

// TestRetry: new outputs take their place, between outputs of the same chunk
// and of others; what fails again says so; what cannot be read stays.
func TestRetry(t *testing.T) {
	t.Parallel()
	w := &world{tester: t, dir: t.TempDir(), objects: []object{
		{n: 1}, {first: true, n: 2}, {n: 0}, // chunk 0
		{flawed: true}, {first: true, again: true, n: 1}, {n: 2}, // chunk 1
		{n: 1}, {n: 1}, {n: 1}, // chunk 2 has no dead letters
		{first: true, n: 0}, {first: true, n: 1}, // chunk 3
	}}
	w.fill(-1)
	if got := len(w.letters()); got != 5 {
		t.Fatalf("%d dead letters before, want 5", got)
	}
	got, err := w.retry(after, 2)
	if want := (retry.Report{Mapped: 3, Failed: 1, Unreadable: 1, Merged: true}); err != nil || got != want {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
	want := "[0,0]\n[1,0]\n[1,1]\n[5,0]\n[5,1]\n[6,0]\n[7,0]\n[8,0]\n[10,0]\n"
	if got := w.outputs(); got != want {
		t.Errorf("outputs %q, want %q", got, want)
	}
	letters := w.letters()
	if len(letters) != 2 {
		t.Fatalf("%d dead letters, want 2", len(letters))
	}
	if l := letters[0]; l.Ordinal != 3 || l.Attempts != 0 || l.Mapper != "" || string(l.Object) != "flawed 3" || !strings.Contains(l.Error, "line 4") {
		t.Errorf("flawed object: %+v", l)
	}
	if l := letters[1]; l.Ordinal != 4 || l.Chunk != 1 || l.Attempts != 2 || l.Mapper != "retry" || l.Version != after ||
		string(l.Object) != w.objects[4].line(4) || !strings.Contains(l.Error, "again") {
		t.Errorf("object that failed again: %+v", l)
	}
	w.verified()
	w.wantRecords(t, 1, "1 attempt 1 by m: v1", "1 attempt 2 by retry: "+after, "1 attempt 1 by m: v1")
	w.wantRecords(t, 2, "3 attempt 1 by m: v1")
	w.wantRecords(t, 3, "2 attempt 2 by retry: "+after)
}

// TestRefusedAgain: an object whose new outputs the sink refuses has failed again.
func TestRefusedAgain(t *testing.T) {
	t.Parallel()
	w := &world{tester: t, dir: t.TempDir(), objects: []object{{first: true, n: 1}, {first: true}, {flawed: true}, {first: true, again: true}}}
	w.fill(-1)
	f, err := sink.OpenFolder(w.path("sink"), job, sink.FolderOptions{Output: w.path("out.csv")}) // for which an output must be an object
	w.check(err)
	got, err := retry.Run(t.Context(), f, retry.Config{Spec: parse(w, after), Workers: 1})
	if want := (retry.Report{Mapped: 1, Failed: 2, Unreadable: 1}); err != nil || got != want {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
	w.check(f.Close())
}

// TestRetryRate: all workers together map as many objects a second as the rate says, those of 100 ms at a time, and
// outputs and failures keep their places.
func TestRetryRate(t *testing.T) {
	t.Parallel()
	w := &world{tester: t, dir: t.TempDir(), objects: []object{
		{first: true, n: 1}, {first: true, again: true}, {first: true, n: 2}, // chunk 0
		{first: true, n: 1}, {n: 1}, {first: true, n: 1}, // chunk 1
	}}
	w.fill(-1)
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		got, err := w.retryAt(10, after, 2)
		if want := (retry.Report{Mapped: 4, Failed: 1, Merged: true}); err != nil || got != want {
			t.Errorf("got %+v, %v; want %+v", got, err, want)
		}
		if took := time.Since(begin).Round(time.Millisecond); took != 400*time.Millisecond {
			t.Errorf("5 objects at 10 a second took %s, want 400ms after the first", took)
		}
	})
	if got, want := w.outputs(), "[0,0]\n[2,0]\n[2,1]\n[3,0]\n[4,0]\n[5,0]\n"; got != want {
		t.Errorf("outputs %q, want %q", got, want)
	}
	if letters := w.letters(); len(letters) != 1 || letters[0].Ordinal != 1 {
		t.Errorf("dead letters %+v, want that of object 1", letters)
	}
	w.verified()
}

// TestRetryPieces: of a chunk in pieces, only those with dead letters get a new result.
func TestRetryPieces(t *testing.T) {
	t.Parallel()
	w := &world{
		tester: t, dir: t.TempDir(), cut: func(int) []int { return []int{1, 1} },
		objects: []object{{n: 1}, {first: true, n: 2}, {first: true, again: true}},
	}
	w.fill(-1)
	got, err := w.retry(after, 2)
	if want := (retry.Report{Mapped: 1, Failed: 1, Merged: true}); err != nil || got != want {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
	if got := w.outputs(); got != "[0,0]\n[1,0]\n[1,1]\n" {
		t.Errorf("outputs %q", got)
	}
	if letters := w.letters(); len(letters) != 1 || letters[0].Ordinal != 2 || letters[0].Attempts != 2 {
		t.Errorf("dead letters %+v", letters)
	}
	w.verified()
	f := w.open(true)
	defer func() { w.check(f.Close()) }()
	pieces, err := f.Look(t.Context(), 0)
	if err != nil || len(pieces) != 3 {
		t.Fatalf("%d pieces, %v; want 3", len(pieces), err)
	}
	for i, mapper := range []string{"m", "retry", "retry"} {
		if pieces[i].Mapper != mapper || pieces[i].From != i || pieces[i].Objects != 1 {
			t.Errorf("piece %d is %+v, want 1 object by %s", i, pieces[i], mapper)
		}
	}
}

// wantRecords compares the pieces of a chunk: their objects, and who made them.
func (w *world) wantRecords(t *testing.T, id chunk.ID, want ...string) {
	t.Helper()
	f := w.open(true)
	defer func() { w.check(f.Close()) }()
	records, err := f.Look(t.Context(), id)
	var got []string
	for _, r := range records {
		got = append(got, fmt.Sprintf("%d attempt %d by %s: %s", r.Objects, r.Attempt, r.Mapper, r.Version))
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("records of chunk %d: %q, %v; want %q", id, got, err, want)
	}
}

// TestNothingLeft: the file of the dead letters goes when the last one is mapped.
func TestNothingLeft(t *testing.T) {
	t.Parallel()
	w := &world{tester: t, dir: t.TempDir(), objects: []object{{first: true, n: 3}}}
	w.fill(-1)
	for i, want := range []retry.Report{{Mapped: 1, Merged: true}, {Merged: true}} {
		if got, err := w.retry(after, 1); err != nil || got != want {
			t.Errorf("retry %d: got %+v, %v; want %+v", i, got, err, want)
		}
		if got := w.letters(); got != nil {
			t.Errorf("dead letters %+v", got)
		}
		if got, want := w.outputs(), w.objects[0].outputs(0); got != want {
			t.Errorf("outputs %q, want %q", got, want)
		}
		w.verified()
	}
}

// TestUnfinished: the dead letters of an unfinished job can be mapped again, too, and
// nothing is merged.
func TestUnfinished(t *testing.T) {
	t.Parallel()
	w := &world{tester: t, dir: t.TempDir(), objects: []object{{first: true, n: 1}, {n: 1}, {n: 1}, {n: 1}}}
	w.fill(1)
	got, err := w.retry(after, 1)
	if want := (retry.Report{Mapped: 1}); err != nil || got != want {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
	f := w.open(true)
	defer func() { w.check(f.Close()) }()
	if got, want := f.Summary(), (sink.Summary{Chunks: 1, Objects: 3, Outputs: 3, OutputBytes: 18}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// redone is a sink whose results of a version are removed after a Replace, as by another process.
type redone struct {
	*sink.Folder

	version string
}

func (r redone) Replace(ctx context.Context, old sink.Record, results ...sink.Result) error {
	err := r.Folder.Replace(ctx, old, results...)
	if err == nil {
		_, err = r.Redo(ctx, r.version)
	}
	return err
}

// A job of which redo removes the last chunk meanwhile is not finished with what is left.
func TestRedoMeanwhile(t *testing.T) {
	t.Parallel()
	dead, fine := object{first: true, n: 1}, object{n: 1}
	w := &world{tester: t, dir: t.TempDir(), objects: []object{dead, dead, dead, fine, fine, fine}}
	w.fill(-1)
	f := w.open(false)
	defer func() { w.check(f.Close()) }()
	report, err := retry.Run(t.Context(), redone{f, "v1"}, retry.Config{Spec: parse(w, after), Workers: 1})
	if err != nil || report.Mapped != 3 || report.Merged || f.Summary().Objects != 3 {
		t.Errorf("report %+v with %d objects in the sink, %v; want 3 mapped, and no merge", report, f.Summary().Objects, err)
	}
}

// TestContradiction: a chunk that cannot be right is left alone.
func TestContradiction(t *testing.T) {
	t.Parallel()
	letter := func(ordinal uint64) []byte {
		return chunk.DeadLetter{Ordinal: ordinal, Attempts: 1, Object: []byte(`{"n":0}`)}.Append(nil)
	}
	for name, spoil := range map[string]func(r *sink.Result){
		"twice":         func(r *sink.Result) { r.Dead, r.DeadCount = append(letter(0), letter(0)...), 2 },
		"out of order":  func(r *sink.Result) { r.Dead, r.DeadCount = append(letter(1), letter(0)...), 2 },
		"other chunk":   func(r *sink.Result) { r.Dead, r.DeadCount = letter(7), 1 },
		"with outputs":  func(r *sink.Result) { r.Dead, r.DeadCount = letter(2), 1 },
		"lines missing": func(r *sink.Result) { r.Dead, r.DeadCount, r.Counts[2] = letter(0), 1, 2 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := &world{tester: t, dir: t.TempDir()}
			f := w.open(false)
			defer func() { w.check(f.Close()) }()
			_, err := f.Claim(t.Context(), chunk.Plan{Source: "x", Size: size, Bytes: 1, Format: chunk.FormatVersion}, "fetcher")
			w.check(err)
			r := sink.Result{Of: 3, Objects: 3, Counts: []int{0, 0, 1}, Outputs: []byte("[2,0]\n"), Attempt: 1}
			spoil(&r)
			_, err = f.Commit(t.Context(), []sink.Result{r})
			w.check(err)
			if _, err := retry.Run(t.Context(), f, retry.Config{Spec: parse(w, after), Workers: 1}); !errors.Is(err, retry.ErrContradiction) {
				t.Errorf("got %v, want %v", err, retry.ErrContradiction)
			}
			if got, err := f.Look(t.Context(), 0); err != nil || len(got) != 1 || got[0].Attempt != 1 {
				t.Errorf("the record was replaced: %+v, %v", got, err)
			}
		})
	}
}

// TestErrors: what ends a retry is an error, and nothing hangs.
func TestErrors(t *testing.T) {
	t.Parallel()
	w := &world{tester: t, dir: t.TempDir(), objects: make([]object, 30)}
	for i := range w.objects {
		w.objects[i].first = true
	}
	w.fill(-1)
	f := w.open(true)
	if _, err := retry.Run(t.Context(), f, retry.Config{Spec: parse(w, after), Workers: 2}); !errors.Is(err, sink.ErrReadOnly) {
		t.Errorf("read-only: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := retry.Run(ctx, f, retry.Config{Spec: parse(w, after), Workers: 2}); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped: %v", err)
	}
	w.check(f.Close())
	if got := len(w.letters()); got != 30 {
		t.Errorf("%d dead letters, want all 30", got)
	}
	w.verified()
}
