package sink_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/sink/sinktest"
)

// TestCopyOfRunningSink copies the log, part by part in a shell's order, while commits go on between and during the
// copying: the copy is the sink as it was at some moment.
func TestCopyOfRunningSink(t *testing.T) {
	t.Parallel()
	dir, o := filepath.Join(t.TempDir(), "sink"), sink.FolderOptions{PartBytes: 2000}
	disk := newTestFS()
	f := openOn(t, disk, dir, o)
	claim(t, f)
	var all []sink.Result
	next := func() sink.Result {
		n := len(all)
		return sinktest.Result(chunk.ID(n), uint64(n), "", 1)
	}
	for range 40 {
		r := next()
		commit(t, f, r)
		all = append(all, r)
	}
	sure := len(all) // commits before the copying begins are in the copy
	to := t.TempDir()
	for _, name := range parts(t, dir) {
		if err := os.WriteFile(filepath.Join(to, name), read(t, filepath.Join(dir, name)), 0o644); err != nil {
			t.Fatal(err)
		}
		for range 15 {
			r := next()
			commit(t, f, r)
			all = append(all, r)
		}
	}
	// The last part was copied in the middle of a write.
	names := parts(t, to)
	edit(t, filepath.Join(to, names[len(names)-1]), func(b []byte) []byte { return append(b, "\xc1kl\n half of a commit"...) })
	g := openOn(t, newTestFS(), to, o)
	held := int(g.Summary().Chunks)
	if held < sure || g.Recovered() == 0 {
		t.Fatalf("the copy has %d chunks, recovered %d; want at least %d, and a tail", held, g.Recovered(), sure)
	}
	want(t, g, all[:held]...)
}
