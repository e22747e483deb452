package sink_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/sink/sinktest"
)

const job = "test"

var plan = sinktest.Plan("source")

// openOn opens a folder, and closes it at the end of the test.
func openOn(t *testing.T, disk sink.FileSystem, dir string, o sink.FolderOptions) *sink.Folder {
	t.Helper()
	f, err := sink.OpenFolderOn(disk, dir, job, o)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil && !errors.Is(err, sink.ErrClosed) {
			t.Errorf("close: %v", err)
		}
	})
	return f
}

// openClaimed opens a folder on the real disk and claims it.
func openClaimed(t *testing.T, dir string, o sink.FolderOptions) *sink.Folder {
	t.Helper()
	f := openOn(t, sink.Disk{}, dir, o)
	claim(t, f)
	return f
}

func claim(t *testing.T, f *sink.Folder) {
	t.Helper()
	if _, err := f.Claim(t.Context(), plan, "fetcher"); err != nil {
		t.Fatalf("claim: %v", err)
	}
}

// commit commits a group of new results.
func commit(t *testing.T, f *sink.Folder, group ...sink.Result) {
	t.Helper()
	outcomes, err := f.Commit(t.Context(), group)
	if err != nil {
		t.Fatalf("commit: %v", err)
	}
	for i, o := range outcomes {
		if o != sink.Committed {
			t.Fatalf("outcome of chunk %d is %v", group[i].Chunk, o)
		}
	}
}

func closeIt(t *testing.T, f *sink.Folder) {
	t.Helper()
	if err := f.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
}

// piece names a piece of a chunk.
type piece struct {
	chunk chunk.ID
	from  int
}

func pieceOf(r sink.Result) piece { return piece{r.Chunk, r.From} }

// cutSome cuts chunks into pieces of random lengths.
func cutSome(rng *rand.Rand, chunks []sink.Result) (all []sink.Result) {
	for _, r := range chunks {
		var lengths []int
		for left := r.Objects - 1; left > 0 && rng.IntN(2) == 0; left -= lengths[len(lengths)-1] {
			lengths = append(lengths, 1+rng.IntN(left))
		}
		all = append(all, sinktest.Pieces(r, lengths...)...)
	}
	return all
}

// want compares the content of the folder with results, given in the order of their IDs, then From.
func want(t *testing.T, f *sink.Folder, results ...sink.Result) {
	t.Helper()
	if diff := compare(t, f, results...); diff != "" {
		t.Fatal(diff)
	}
}

// compare is want for a test that continues; "" means equal.
func compare(t *testing.T, f *sink.Folder, results ...sink.Result) string {
	t.Helper()
	left := results
	for r, err := range f.Records(t.Context()) {
		if err != nil {
			return err.Error()
		}
		if len(left) == 0 {
			return "more chunks than there should be"
		}
		w := left[0]
		left = left[1:]
		outputs, err := f.Outputs(nil, r)
		if err != nil {
			return err.Error()
		}
		dead, err := f.DeadLetters([]byte("x"), r)
		if err != nil {
			return err.Error()
		}
		switch {
		case r.Chunk != w.Chunk || r.From != w.From || r.Of != w.Of || r.First != w.First || r.Objects != w.Objects || r.Digest != w.Digest,
			r.Attempt != w.Attempt || r.Mapper != w.Mapper || r.Version != w.Version || r.DeadCount != w.DeadCount,
			!slices.Equal(r.Counts, w.Counts):
			return "chunk " + string(rune('0'+w.Chunk)) + " has another record"
		case !bytes.Equal(outputs, w.Outputs):
			return "chunk has other outputs: " + string(outputs[:min(200, len(outputs))])
		case !bytes.Equal(dead, append([]byte("x"), w.Dead...)):
			return "chunk has other dead letters: " + string(dead)
		}
	}
	if len(left) > 0 {
		return "chunks are missing"
	}
	sum, _, _ := sinktest.Expect(results...)
	got := f.Summary()
	got.Output, got.DeadFile = "", ""
	if got != sum {
		return "summary differs"
	}
	return ""
}

// finish finishes the job and compares the files.
func finish(t *testing.T, f *sink.Folder, results ...sink.Result) sink.Summary {
	t.Helper()
	sum, outputs, dead := sinktest.Expect(results...)
	got, err := f.Finish(t.Context(), sum.Chunks, sum.Objects)
	if err != nil {
		t.Fatalf("finish: %v", err)
	}
	wantFile(t, got.Output, sinktest.Content(got.Output, outputs))
	if got.DeadFile != "" || len(dead) > 0 {
		wantFile(t, got.DeadFile, dead)
	}
	return got
}

func wantFile(t *testing.T, path string, want []byte) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("%s: %.300q, want %.300q", path, got, want)
	}
}

// copyDir copies a folder.
func copyDir(t *testing.T, from, to string) string {
	t.Helper()
	if err := os.RemoveAll(to); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	return to
}

// edit changes a file.
func edit(t *testing.T, path string, change func([]byte) []byte) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, change(b), 0o644); err != nil {
		t.Fatal(err)
	}
}

// wantDamaged checks that opening a folder fails with damage in file.
func wantDamaged(t *testing.T, dir string, o sink.FolderOptions, file string) *sink.DamageError {
	t.Helper()
	f, err := sink.OpenFolder(dir, job, o)
	if err == nil {
		f.Close()
	}
	var damage *sink.DamageError
	if !errors.As(err, &damage) || !errors.Is(err, sink.ErrDamaged) {
		t.Fatalf("open: %v, want a DamageError", err)
	}
	if filepath.Base(damage.File) != file || !strings.Contains(err.Error(), file) {
		t.Fatalf("open: %v, want it to name %s", err, file)
	}
	return damage
}

// big makes a result with one output of n bytes.
func big(id chunk.ID, first uint64, n int) sink.Result {
	r := sinktest.Result(id, first, "", 0)
	r.Counts[0] = 1
	r.Outputs = append(bytes.Repeat([]byte{'a' + byte(id%26)}, n-1), '\n')
	return r
}
