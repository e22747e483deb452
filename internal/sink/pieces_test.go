package sink_test

import (
	"bytes"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/sink/sinktest"
)

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
