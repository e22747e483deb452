package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// openSpooled opens standard input with a spool.
func openSpooled(t *testing.T, spool, text string) Source {
	t.Helper()
	s, err := Open(Options{Size: 3, Bytes: 1000, Stdin: strings.NewReader(text), Spool: spool}, "-")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// unsteady is a command that prints other objects in each run; only the spooled ones count.
const unsteady = "cmd:sh -c 'echo run >>%s; echo \"[1\"; echo \",2\"; echo \",$(wc -l <%s)]\"'"

// A later run reads nothing but a complete spool, and zstd can read the spool, too.
func TestSpool_complete(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	runs, spool := filepath.Join(dir, "runs"), filepath.Join(dir, "spool")
	spec := strings.ReplaceAll(unsteady, "%s", runs)
	for range 3 {
		if got, err := drainCommand(t, spec, spool); err != nil || !slices.Equal(got, []string{"1", "2", "1"}) {
			t.Fatalf("got %q, %v", got, err)
		}
	}
	if got := string(read(t, runs)); got != "run\n" {
		t.Errorf("the command ran %d times, want once", strings.Count(got, "\n"))
	}
	z, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	if text, err := z.DecodeAll(read(t, spool), nil); err != nil || string(text) != "[1\n,2\n,1]\n" {
		t.Errorf("zstd reads %q, %v", text, err)
	}
	replayed, err := Open(Options{Size: 2, Bytes: 1000, Spool: spool, Replay: true}, spec)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = replayed.Close() }()
	if cuts, err := drain(replayed); err != nil || len(objects(cuts)) != 3 {
		t.Errorf("replay: %q, %v", objects(cuts), err)
	}
}

// TestSpool_torn: wherever a crash has cut off the spool, the next run continues with the same objects.
func TestSpool_torn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	whole := filepath.Join(dir, "whole")
	const text = "{\"n\":1}\n{\"n\":2}\n{\"n\":3}\n{\"n\":4}\n"
	log, err := openSpool(whole, "stdin", false)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(text); i += 11 { // records end in the middle of objects
		if err := log.append(portion{data: []byte(text[i:min(i+11, len(text))])}); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(log.end(), log.close()); err != nil {
		t.Fatal(err)
	}
	content := read(t, whole)
	torn := filepath.Join(dir, "torn")
	for n := 0; n <= len(content); n = min(n+7, max(n+1, len(content))) { // trying every byte would take as many syncs
		if err := os.WriteFile(torn, content[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		s := openSpooled(t, torn, text)
		cuts, err := drain(s)
		if got := len(objects(cuts)); err != nil || got != 4 {
			t.Fatalf("after %d bytes: %d objects, %v", n, got, err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if log, err := openSpool(torn, "stdin", true); err != nil || log.data != int64(len(text)) {
			t.Fatalf("after %d bytes: the spool is not complete: %v", n, err)
		} else if err := log.close(); err != nil {
			t.Error(err)
		}
	}
}

// A damaged spool is refused and left unchanged.
func TestSpool_damaged(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "spool")
	s := openSpooled(t, path, "1\n2\n")
	if _, err := drain(s); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	content := read(t, path)
	for i := range len(content) - 30 { // the rest is the last record, which a crash may have torn
		broken := slices.Clone(content)
		broken[i] ^= 0x55
		if err := os.WriteFile(path, broken, 0o600); err != nil {
			t.Fatal(err)
		}
		s := openSpooled(t, path, "1\n2\n")
		if _, err := drain(s); !errors.Is(err, errSpoolLost) {
			t.Fatalf("byte %d is damaged: %v", i, err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if got := read(t, path); !slices.Equal(got, broken) {
			t.Fatalf("byte %d is damaged: the spool was changed", i)
		}
	}
}

// Standard input that is given again must be the same; data after the end of an incomplete spool is appended.
func TestSpool_givenAgain(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		second, want string
		complete     bool
	}{
		{"1\n2\n3\n", "", true},
		{"1\n2\n4\n", "it has other bytes than in the run before", true},
		{"1\n2\n", "it is shorter than in the run before", true},
		{"", "it is shorter than in the run before", true},
		{"1\n2\n3\n4\n", "it is longer than in the run before", true},
		{"1\n2\n3\n4\n", "", false},
		{"1\n3\n", "it has other bytes than in the run before", false},
		{"1\n", "it is shorter than in the run before", false},
	} {
		path := filepath.Join(t.TempDir(), "spool")
		log, err := openSpool(path, "stdin", false)
		if err != nil {
			t.Fatal(err)
		}
		if err := log.append(portion{data: []byte("1\n2\n3\n")}); err != nil {
			t.Fatal(err)
		}
		if c.complete {
			err = log.end()
		}
		if err = errors.Join(err, log.close()); err != nil {
			t.Fatal(err)
		}
		s := openSpooled(t, path, c.second)
		cuts, err := drain(s)
		switch {
		case c.want == "" && (err != nil || strings.Join(objects(cuts), "\n")+"\n" != c.second):
			t.Errorf("%+v: %q, %v", c, objects(cuts), err)
		case c.want != "" && (!errors.Is(err, ErrChanged) || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%+v: %v", c, err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A spool belongs to one source and one process.
func TestSpool_refused(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "spool")
	log, err := openSpool(path, "stdin", false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := openSpool(path, "stdin", false); err == nil || !strings.Contains(err.Error(), "another process has it open") {
		t.Errorf("opened twice: %v", err)
	}
	if _, err := openSpool(path, "stdin", true); err == nil || !strings.Contains(err.Error(), "no run has read the whole stream yet") {
		t.Errorf("replay of a part: %v", err)
	}
	if err := log.close(); err != nil {
		t.Fatal(err)
	}
	if _, err := openSpool(path, "cmd:cat", false); err == nil || !strings.Contains(err.Error(), `it holds "stdin", and the source is "cmd:cat"`) {
		t.Errorf("of another source: %v", err)
	}
	if _, err := openSpool(path+"-none", "stdin", true); err == nil || !strings.Contains(err.Error(), "no run of this job has written it") {
		t.Errorf("no spool: %v", err)
	}
}

// Data is on disk before it is cut.
func TestSpool_writtenFirst(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "spool")
	in, out := io.Pipe()
	s, err := Open(Options{Size: 1, Bytes: 100, Stdin: in, Spool: path}, "-")
	if err != nil {
		t.Fatal(err)
	}
	go fmt.Fprint(out, "0\n{")
	c, _, err := s.Next(t.Context())
	if err != nil || string(c.Body) != "0\n" {
		t.Fatalf("%q, %v", c.Body, err)
	}
	z, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	if text, err := z.DecodeAll(read(t, path), nil); err != nil || !strings.HasPrefix(string(text), "0\n") {
		t.Errorf("the spool holds %q, %v", text, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := s.Next(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Next after the end of its context: %v", err)
	}
	_ = out.Close()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
