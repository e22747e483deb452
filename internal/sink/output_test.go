package sink_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/cespare/xxhash/v2"

	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/sink/sinktest"
)

// TestOpenOutput: the ordered files can be opened once Finish has merged them, with their checksums, also by the next
// process, but not when the content has changed since.
func TestOpenOutput(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "sink")
	f := openClaimed(t, dir, sink.FolderOptions{})
	all := sinktest.Chain("", []int{1, -1}, []int{2})
	unfinished := func(when string) {
		t.Helper()
		if _, err := f.OpenOutput(false); !errors.Is(err, sink.ErrIncomplete) {
			t.Errorf("%s: %v, want ErrIncomplete", when, err)
		}
	}
	has := func(dead bool, want []byte) {
		t.Helper()
		merged, err := f.OpenOutput(dead)
		if err != nil {
			t.Fatal(err)
		}
		defer merged.Close()
		got, err := io.ReadAll(io.NewSectionReader(merged, 0, merged.Bytes))
		if err != nil || !bytes.Equal(got, want) || merged.Sum != xxhash.Sum64(want) {
			t.Errorf("read %q with the checksum %x (%v), want %q", got, merged.Sum, err, want)
		}
	}
	unfinished("of an empty sink")
	commit(t, f, all...)
	unfinished("of one that is not merged")
	_, outputs, dead := sinktest.Expect(all...)
	sum := finish(t, f, all...)
	closeIt(t, f)
	f = openOn(t, sink.Disk{}, dir, sink.FolderOptions{})
	has(false, outputs)
	has(true, dead)

	if err := os.WriteFile(sum.Output, []byte("changed"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := f.OpenOutput(false); err == nil {
		t.Error("a file of another size can be opened")
	}
	if err := os.Remove(sum.Output); err != nil {
		t.Fatal(err)
	}
	if _, err := f.OpenOutput(false); err == nil {
		t.Error("a file that was removed can be opened")
	}
	finish(t, f, all...)
	has(false, outputs)

	mended := sinktest.Result(0, 0, "mended", 1, 1)
	if err := sinktest.Replace(t, f, mended); err != nil {
		t.Fatal(err)
	}
	unfinished("after a change")
	finish(t, f, mended, all[1])
	has(true, nil)
}
