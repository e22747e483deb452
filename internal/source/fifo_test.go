//go:build unix

package source

import (
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
)

// As with `chunkline run -i <(zcat …)`: a stream with a name.
func TestSource_namedPipe(t *testing.T) {
	t.Parallel()
	folder := write(t, "a", "1\n")
	pipe := filepath.Join(folder, "b")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Skip("no named pipes here:", err)
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
