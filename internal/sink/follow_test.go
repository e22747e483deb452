package sink_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"

	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/sink/sinktest"
)

// follow begins to follow a folder, and returns how Follow ends.
func follow(ctx context.Context, f *sink.Folder, w io.Writer) <-chan error {
	ended, epoch := make(chan error, 1), f.Epoch()
	go func() { ended <- f.Follow(ctx, w, epoch) }()
	return ended
}

// finishAll finishes the job, which has all its results.
func finishAll(t *testing.T, f *sink.Folder) sink.Summary {
	t.Helper()
	total := f.Summary()
	sum, err := f.Finish(t.Context(), total.Chunks, total.Objects)
	if err != nil {
		t.Fatalf("finish: %v", err)
	}
	return sum
}

// chain makes chunks of random numbers of objects and outputs, cut into pieces.
func chain(rng *rand.Rand) []sink.Result {
	counts := make([][]int, 1+rng.IntN(30))
	for i := range counts {
		counts[i] = make([]int, 1+rng.IntN(5))
		for n := range counts[i] {
			counts[i][n] = rng.IntN(4) - 1
		}
	}
	return cutSome(rng, sinktest.Chain("", counts...))
}

// TestFollow: at every moment the written outputs are those of all pieces before the first one that is not committed,
// whatever the order of the commits. Following ends when the job is finished.
func TestFollow(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		dir := t.TempDir()
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 0))
			all := chain(rng)
			f := openOn(t, sink.Disk{}, dir, sink.FolderOptions{Output: sink.NoOutput})
			var got bytes.Buffer
			ended := follow(t.Context(), f, &got)
			claim(t, f)
			committed := make([]bool, len(all))
			for _, i := range rng.Perm(len(all)) {
				commit(t, f, all[i])
				committed[i] = true
				n := 0
				for n < len(all) && committed[n] {
					n++
				}
				synctest.Wait()
				if _, want, _ := sinktest.Expect(all[:n]...); !bytes.Equal(got.Bytes(), want) {
					t.Fatalf("seed %d: after piece %d of chunk %d the outputs are %q, want %q", seed, all[i].From, all[i].Chunk, got.Bytes(), want)
				}
			}
			select {
			case err := <-ended:
				t.Fatalf("seed %d: ended before the job is finished: %v", seed, err)
			default:
			}
			finishAll(t, f)
			if err := <-ended; err != nil {
				t.Errorf("seed %d: %v", seed, err)
			}
		})
	}
}

// TestFollow_again: the next run writes all outputs again, but none before it has claimed the job. There is no output
// file, and opening the folder without options does not expect one.
func TestFollow_again(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	all := sinktest.Chain("", []int{1, -1}, []int{2}, []int{1, 1})
	_, outputs, dead := sinktest.Expect(all...)
	synctest.Test(t, func(t *testing.T) {
		for run, fetcher := range []string{"first", "second"} {
			f := openOn(t, sink.Disk{}, dir, sink.FolderOptions{Output: sink.NoOutput})
			var got bytes.Buffer
			ended := follow(t.Context(), f, &got)
			synctest.Wait()
			if got.Len() > 0 {
				t.Fatalf("run %d writes %q before it has claimed the job", run, got.Bytes())
			}
			if _, err := f.Claim(t.Context(), plan, fetcher); err != nil {
				t.Fatal(err)
			}
			if run == 0 {
				commit(t, f, all...)
			}
			if sum := finishAll(t, f); sum.Output != sink.NoOutput {
				t.Errorf("the output is %q", sum.Output)
			}
			if err := <-ended; err != nil || !bytes.Equal(got.Bytes(), outputs) {
				t.Errorf("run %d: %v, wrote %q, want %q", run, err, got.Bytes(), outputs)
			}
			closeIt(t, f)
		}
	})
	wantFile(t, filepath.Join(dir, "dead.jsonl"), dead)
	f := openOn(t, sink.Disk{}, dir, sink.FolderOptions{})
	if sum := f.Summary(); sum.Output != sink.NoOutput || sum.DeadFile == "" {
		t.Errorf("opened again: output %q, dead letters %q", sum.Output, sum.DeadFile)
	}
	mended := all[0]
	mended.Counts, mended.Outputs, mended.Dead, mended.DeadCount = []int{1, 1}, []byte("1\n2\n"), nil, 0
	if err := sinktest.Replace(t, f, mended); err != nil {
		t.Fatal(err)
	}
	if sum := finishAll(t, f); sum.Output != sink.NoOutput {
		t.Errorf("after Replace the output is %q", sum.Output)
	}
	for _, name := range []string{"output.jsonl", "dead.jsonl"} {
		if _, err := os.Stat(filepath.Join(dir, name)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("there is a %s: %v", name, err)
		}
	}
	if _, err := f.OpenOutput(false); err == nil {
		t.Error("opened an output file, which does not exist")
	}
}

// TestFollow_slow: while nobody reads, the job commits, reads and finishes.
func TestFollow_slow(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		f := openOn(t, sink.Disk{}, dir, sink.FolderOptions{Output: sink.NoOutput})
		out, in := io.Pipe()
		ended := follow(t.Context(), f, in)
		claim(t, f)
		all := sinktest.Chain("", []int{1}, []int{1}, []int{1})
		for _, r := range all {
			commit(t, f, r)
			synctest.Wait() // it is blocked in a write
		}
		want(t, f, all...)
		finishAll(t, f)
		_, outputs, _ := sinktest.Expect(all...)
		got := make([]byte, len(outputs))
		if _, err := io.ReadFull(out, got); err != nil || !bytes.Equal(got, outputs) {
			t.Errorf("%v: read %q, want %q", err, got, outputs)
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// TestFollow_ends: an error of the writer, or the end of the context, ends following.
func TestFollow_ends(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		f := openOn(t, sink.Disk{}, dir, sink.FolderOptions{Output: sink.NoOutput})
		gone := errors.New("gone")
		out, in := io.Pipe()
		out.CloseWithError(gone)
		broken := follow(t.Context(), f, in)
		ctx, cancel := context.WithCancel(t.Context())
		stopped := follow(ctx, f, io.Discard)
		claim(t, f)
		commit(t, f, sinktest.Result(0, 0, "", 1))
		if err := <-broken; !errors.Is(err, gone) {
			t.Errorf("the writer fails, and following ends with %v", err)
		}
		cancel()
		if err := <-stopped; !errors.Is(err, context.Canceled) {
			t.Errorf("stopped following ends with %v", err)
		}
	})
}
