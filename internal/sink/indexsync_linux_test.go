package sink_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	bolt "go.etcd.io/bbolt"
	"golang.org/x/sys/unix"

	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/sink/sinktest"
)

// lostFS lets bbolt write into nothing, and fail where it syncs that: the
// error of a disk that lost the pages, with all that bbolt does about it.
type lostFS struct {
	sink.Disk
	index *os.File
	lose  bool
}

func (d *lostFS) OpenIndex(name string, flag int, perm os.FileMode) (f *os.File, err error) {
	d.index, err = d.Disk.OpenIndex(name, flag, perm)
	return d.index, err
}

func (d *lostFS) CommitIndex(tx *bolt.Tx) error {
	if d.lose {
		nothing, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
		if err != nil {
			return err
		}
		defer nothing.Close()
		if err := unix.Dup3(int(nothing.Fd()), int(d.index.Fd()), unix.O_CLOEXEC); err != nil {
			return err
		}
	}
	return d.Disk.CommitIndex(tx)
}

// TestIndexSyncFails: bbolt's own sync fails, so nobody is told "committed"; nor
// "full", which would be to say that nothing happened. What was there before is
// there after.
func TestIndexSyncFails(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "sink")
	disk := &lostFS{}
	f := openOn(t, disk, dir, sink.FolderOptions{})
	claim(t, f)
	all := sinktest.Chain("", []int{1, -1}, []int{1})
	commit(t, f, all[0])
	disk.lose = true
	if _, err := f.Commit(t.Context(), all[1:]); !errors.Is(err, sink.ErrBroken) || !errors.Is(err, unix.EINVAL) || errors.Is(err, sink.ErrFull) {
		t.Fatalf("commit: %v, want ErrBroken", err)
	}
	if _, err := f.Commit(t.Context(), all[:1]); !errors.Is(err, sink.ErrBroken) {
		t.Fatalf("commit after that: %v, want ErrBroken", err)
	}
	closeIt(t, f)
	f = openOn(t, sink.Disk{}, dir, sink.FolderOptions{})
	want(t, f, all[0])
	commit(t, f, all[1])
	finish(t, f, all...)
}
