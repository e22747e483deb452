package sink_test

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/chunkline/chunkline/internal/sink"
)

// TestClose_unlocks: a closed folder is not locked any more, although a child process between fork and exec has inherited
// the descriptor.
func TestClose_unlocks(t *testing.T) {
	t.Parallel()
	for _, o := range []sink.FolderOptions{{}, {ReadOnly: true}} {
		dir := t.TempDir()
		closeIt(t, openClaimed(t, dir, sink.FolderOptions{}))
		f, err := sink.OpenFolder(dir, job, o)
		if err != nil {
			t.Fatal(err)
		}
		inherited := duplicate(t, filepath.Join(dir, "log-00000"))
		t.Cleanup(func() { _ = unix.Close(inherited) })
		closeIt(t, f)
		f, err = sink.OpenFolder(dir, job, sink.FolderOptions{})
		if err != nil {
			t.Fatalf("open after %+v was closed: %v", o, err)
		}
		closeIt(t, f)
	}
}

// duplicate returns a second descriptor of a file that this process has open.
func duplicate(t *testing.T, path string) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range all {
		fd, err := strconv.Atoi(d.Name())
		if err != nil {
			t.Fatal(err)
		}
		if got, err := os.Stat("/proc/self/fd/" + d.Name()); err == nil && os.SameFile(got, want) {
			second, err := unix.Dup(fd)
			if err != nil {
				t.Fatal(err)
			}
			return second
		}
	}
	t.Fatalf("%s is not open", path)
	return -1
}
