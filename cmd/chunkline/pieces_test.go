package main

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/sink/sinktest"
	"github.com/chunkline/chunkline/internal/source"
)

// fillInPieces fills a folder with a finished job, whose chunks of 4 objects are in pieces of 1, 2 and 1. Each output is
// the object's n; object 5 is a dead letter. The pieces of two objects are of version v2.
func fillInPieces(t *testing.T, in, dir string) {
	t.Helper()
	src, err := source.Open(source.Options{Size: 4, Bytes: chunk.DefaultBytes}, in)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = src.Close() }()
	folder, err := sink.OpenFolder(dir, "job", sink.FolderOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := folder.Claim(t.Context(), src.Plan(), "fetcher"); err != nil {
		t.Fatal(err)
	}
	for {
		c, _, err := src.Next(t.Context())
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		whole := sink.Result{Chunk: c.ID, Of: c.Count, First: c.First, Objects: c.Count, Digest: c.Digest(), Counts: make([]int, c.Count), Attempt: 1, Mapper: "m", Version: "v1"}
		for i, object := range chunk.Objects(c.Body) {
			ordinal := c.First + uint64(i)
			if ordinal == 5 {
				whole.Dead, whole.DeadCount = chunk.DeadLetter{Ordinal: 5, Chunk: c.ID, Error: "odd", Attempts: 1, Object: object}.Append(nil), 1
				continue
			}
			whole.Counts[i] = 1
			whole.Outputs = fmt.Appendf(whole.Outputs, "%d\n", ordinal)
		}
		for _, p := range sinktest.Pieces(whole, 1, 2) {
			if p.Objects == 2 {
				p.Version = "v2"
			}
			if _, err := folder.Commit(t.Context(), []sink.Result{p}); err != nil {
				t.Fatal(err)
			}
		}
	}
	sum := folder.Summary()
	if _, err := folder.Finish(t.Context(), sum.Chunks, sum.Objects); err != nil {
		t.Fatal(err)
	}
	if err := folder.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestPieces: the commands that read a folder support chunks that were saved in pieces.
func TestPieces(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	objects, values := numbers(12)
	in, out := write(t, filepath.Join(dir, "in"), objects), filepath.Join(dir, "sink")
	fillInPieces(t, in, out)

	wantWords(t, must(t, 0, "verify", "-o", out).stdout, "12 objects in 3 chunks: 11 outputs, 1 dead letters, 0 problems")
	other := write(t, filepath.Join(dir, "other"), strings.Replace(objects, `"n":9`, `"n":-9`, 1))
	wantWords(t, must(t, 1, "verify", "-o", out, "-i", other).stdout, "wrong: chunk 2: the sink has digest")
	wantWords(t, must(t, 0, "dead", "list", "-o", out).stdout, `{"ordinal":5,"chunk":1,`)
	wantWords(t, must(t, 0, "dead", "retry", "-o", out, "-m", ".n").stdout, "1 mapped, 0 failed again")
	wantFile(t, filepath.Join(out, "output.jsonl"), values)
	wantWords(t, must(t, 0, "verify", "-o", out).stdout, "12 objects in 3 chunks: 12 outputs, 0 dead letters, 0 problems")

	wantWords(t, must(t, 0, "redo", "-o", out, "--version", "v2").stdout, "requeued 5 objects in 3 chunks: removed 5 outputs and 0 dead letters")
	wantWords(t, must(t, 1, "verify", "-o", out).stdout, "chunk 0: objects 1 to 2 are not in the sink",
		"chunk 1: objects 6 to 6 are not in the sink", "chunk 2: objects 9 to 10 are not in the sink", "4 problems")
}
