//go:build unix

package source

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// As with `chunkline run -i <(zcat …)`: a stream with a name.
func TestSource_namedPipe(t *testing.T) {
	t.Parallel()
	folder := write(t, "a", "1\n")
	pipe := filepath.Join(folder, "b")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, folder+"/*", 10, 100, nil)
	if _, total := s.Progress(); s.Rereads() || total != 0 {
		t.Errorf("rereads %v, total %d, want false, 0", s.Rereads(), total)
	}
	written := make(chan error)
	go func() { written <- os.WriteFile(pipe, []byte(gz("2\n3\n")), 0o600) }()
	cuts, err := drain(s)
	if got, want := objects(cuts), []string{"1", "2", "3"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
	if err := <-written; err != nil {
		t.Error(err)
	}
}

// A stream cannot be examined before it is read, so a contradiction to the files before it ends the job.
func TestSource_oneLineThenStream(t *testing.T) {
	t.Parallel()
	for content, want := range map[string]string{
		"[3,4]\n":    "1 2 3 4",
		"[\n3\n]\n":  "1 2 3",
		"[3]\n[4]\n": "are the elements of that array the objects",
	} {
		folder := write(t, "a", "[1,2]\n")
		pipe := filepath.Join(folder, "b")
		if err := syscall.Mkfifo(pipe, 0o600); err != nil {
			t.Fatal(err)
		}
		s := open(t, folder+"/*", 2, 100, nil)
		written := make(chan error)
		go func() { written <- os.WriteFile(pipe, []byte(content), 0o600) }()
		cuts, err := drain(s)
		if err != nil {
			if !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), pipe) || !strings.Contains(err.Error(), filepath.Join(folder, "a")) {
				t.Errorf("%q: %v, want %q", content, err, want)
			}
		} else if got := strings.Join(objects(cuts), " "); got != want {
			t.Errorf("%q: got %q, want %q", content, got, want)
		}
		if err := <-written; err != nil {
			t.Error(err)
		}
	}
}
