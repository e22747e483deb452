package sink_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/sink/sinktest"
)

// TestRealFullDisk fills a small file system of its own, page by page, so that the log runs out of space at every
// possible point. A process may mount one in its own namespace; where the system forbids that, the test fails.
func TestRealFullDisk(t *testing.T) {
	t.Parallel()
	if dir := os.Getenv("CHUNKLINE_TEST_TMPFS"); dir != "" {
		if err := syscall.Mount("none", dir, "tmpfs", 0, "size=2m"); err != nil {
			t.Fatalf("mount a small file system: %v", err)
		}
		fillDisk(t, dir)
		return
	}
	child := exec.Command(os.Args[0], "-test.run=^TestRealFullDisk$", "-test.v")
	child.Env = append(os.Environ(), "CHUNKLINE_TEST_TMPFS="+t.TempDir())
	child.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
	}
	out, err := child.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("make a user namespace (as root, or where kernel.unprivileged_userns_clone and AppArmor let users): %v", err)
	}
	t.Logf("%s", out)
	if err != nil {
		t.Fatalf("in the namespace: %v", err)
	}
}

func fillDisk(t *testing.T, mount string) {
	t.Helper()
	fulls := map[string]int{}
	for free := range 25 { // pages
		dir, ballast := filepath.Join(mount, "sink"), filepath.Join(mount, "ballast")
		f, err := sink.OpenFolder(dir, job, sink.FolderOptions{PartBytes: 30_000})
		if err != nil {
			t.Fatal(err)
		}
		claim(t, f)
		var all []sink.Result
		next := func() sink.Result {
			n := len(all)
			return big(chunk.ID(n), uint64(n), 1+n*37%9000)
		}
		for range 30 {
			all = append(all, next())
			commit(t, f, all[len(all)-1])
		}
		fill(t, ballast, free)
		for {
			r := next()
			_, err := f.Commit(t.Context(), []sink.Result{r})
			if errors.Is(err, sink.ErrFull) {
				fulls[err.Error()[len("sink folder "+dir):]]++
				break
			}
			if err != nil {
				t.Fatalf("commit with %d pages free: %v", free, err)
			}
			all = append(all, r)
		}
		want(t, f, all...)
		if _, err := f.Commit(t.Context(), all); err != nil {
			t.Fatalf("duplicates on a full disk: %v", err)
		}
		sum, _, _ := sinktest.Expect(all...)
		if _, err := f.Finish(t.Context(), sum.Chunks, sum.Objects); !errors.Is(err, sink.ErrFull) {
			t.Fatalf("finish on a full disk: %v, want ErrFull", err)
		}
		closeIt(t, f)
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
		f = openOn(t, sink.Disk{}, dir, sink.FolderOptions{PartBytes: 30_000})
		want(t, f, all...)
		all = append(all, next())
		commit(t, f, all[len(all)-1])
		finish(t, f, all...)
		closeIt(t, f)
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("full: %v", fulls)
	if len(fulls) < 2 {
		t.Errorf("the disk was full in one way only: %v", fulls)
	}
}

// fill leaves this many pages of the file system free.
func fill(t *testing.T, ballast string, free int) {
	t.Helper()
	var s syscall.Statfs_t
	if err := syscall.Statfs(filepath.Dir(ballast), &s); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(ballast, make([]byte, (int64(s.Bavail)-int64(free))*s.Bsize), 0o600); err != nil {
		t.Fatal(err)
	}
}
