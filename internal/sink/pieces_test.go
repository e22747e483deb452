package sink_test

import (
	"bytes"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/sink/sinktest"
)

// TestRedoPieces removes one version's pieces of a chunk and keeps the others; the replacements may be cut differently.
func TestRedoPieces(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "sink")
	f := openClaimed(t, dir, sink.FolderOptions{})
	all := sinktest.Chain("", []int{1, -1, 2, 1, 1, 1}, []int{1, 1}, []int{1})
	first, second := sinktest.Pieces(all[0], 2, 3), sinktest.Pieces(all[1], 1)
	before := slices.Concat(first, second, all[2:])
	for i := range before {
		before[i].Version = "good"
	}
	before[1].Version, before[3].Version, before[4].Version = "bad", "bad", "bad"
	commit(t, f, before...)
	finish(t, f, before...)
	done, err := f.Redo(t.Context(), "bad")
	if err != nil || done != (sink.Redone{Chunks: 2, Objects: 5, Outputs: 6}) {
		t.Fatalf("redo: %+v, %v; want 5 objects of 2 chunks", done, err)
	}
	left := []sink.Result{before[0], before[2], before[5]}
	for range 2 {
		want(t, f, left...)
		if sum := f.Summary(); sum.Chunks != 1 || sum.Output != "" {
			t.Fatalf("summary is %+v, want 1 chunk of an unfinished job", sum)
		}
		closeIt(t, f)
		f = openOn(t, sink.Disk{}, dir, sink.FolderOptions{})
	}
	if _, err := f.Claim(t.Context(), plan, "next"); err != nil {
		t.Fatal(err)
	}
	again := []sink.Result{sinktest.Piece(all[0], 2, 1), sinktest.Piece(all[0], 3, 2), all[1]}
	commit(t, f, again...)
	whole := slices.Concat(before[:1], again[:2], before[2:3], again[2:], before[5:])
	finish(t, f, whole...)
	want(t, f, whole...)
}

// TestReplacePiece replaces one piece and no other.
func TestReplacePiece(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "sink")
	f := openClaimed(t, dir, sink.FolderOptions{})
	whole, anew := sinktest.Chain("", []int{1, -1, -1, 1})[0], sinktest.Chain("again", []int{1, 2, -1, 1})[0]
	there := sinktest.Pieces(whole, 1, 2)
	commit(t, f, there[:2]...)
	for name, test := range map[string]struct {
		result sink.Result
		want   error
	}{
		"a piece that is missing":   {sinktest.Piece(anew, 3, 1), sink.ErrNoChunk},
		"a piece within another":    {sinktest.Piece(anew, 2, 1), sink.ErrNoChunk},
		"a piece of another length": {sinktest.Piece(anew, 1, 3), sink.ErrConflict},
		"the chunk as a whole":      {anew, sink.ErrConflict},
	} {
		if err := sinktest.Replace(t, f, test.result); !errors.Is(err, test.want) {
			t.Errorf("replace %s: %v, want %v", name, err, test.want)
		}
	}
	want(t, f, there[:2]...)
	there[1] = sinktest.Piece(anew, 1, 2)
	for range 2 {
		if err := sinktest.Replace(t, f, there[1]); err != nil {
			t.Fatal(err)
		}
		want(t, f, there[:2]...)
	}
	commit(t, f, there[2])
	finish(t, f, there...)
	closeIt(t, f)
	want(t, openOn(t, sink.Disk{}, dir, sink.FolderOptions{ReadOnly: true}), there...)
}

// TestLargeDeadLetters: the bytes read of a chunk's dead letters are bounded per chunk, not per piece.
func TestLargeDeadLetters(t *testing.T) {
	t.Parallel()
	f := openClaimed(t, filepath.Join(t.TempDir(), "sink"), sink.FolderOptions{})
	all := sinktest.Pieces(sinktest.Result(0, 0, strings.Repeat("x", 1<<20), -1, -1, -1, -1, -1, -1), 1, 1, 1, 1, 1)
	commit(t, f, all...)
	lines, next, err := f.DeadBelow(t.Context(), 1, 100)
	if err != nil || next != 0 {
		t.Fatalf("dead letters: next %d, %v", next, err)
	}
	shown := slices.Concat(all[0].Dead, all[1].Dead, all[2].Dead)
	if !bytes.HasPrefix(lines, shown) {
		t.Error("the first dead letters are missing")
	}
	rest := strings.Split(strings.TrimSpace(string(lines[len(shown):])), "\n")
	if len(rest) != 3 || strings.Count(strings.Join(rest, "\n"), "too large to show here") != 3 {
		t.Errorf("got %d lines for the other dead letters: %.300q", len(rest), rest)
	}
}
