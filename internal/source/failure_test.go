package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

func TestSource_damagedCompression(t *testing.T) {
	t.Parallel()
	lines := numbers(0, 100_000, "{\"n\":%d}\n")
	flip := func(s string, i int) string { return s[:i] + string(s[i]^0xff) + s[i+1:] }
	g, z := gz(lines), zst(t, lines)
	behind := fmt.Sprintf("gzip data is followed by something else: it ends with byte %d, and ", len(g))
	named := namedGzip(t, "a-long-name.jsonl", lines)
	for name, c := range map[string]struct {
		content, want string
		is            error
	}{
		"gzip cut off":                 {g[:len(g)/2], "gzip data is truncated", io.ErrUnexpectedEOF},
		"gzip without its last byte":   {g[:len(g)-1], "gzip data is truncated", io.ErrUnexpectedEOF},
		"gzip cut off in the header":   {g[:5], "gzip data is truncated", io.ErrUnexpectedEOF},
		"gzip with a wrong checksum":   {flip(g, len(g)-8), "gzip data is damaged", gzip.ErrChecksum},
		"gzip, second member cut off":  {g + g[:len(g)/2], "gzip data is truncated", io.ErrUnexpectedEOF},
		"gzip cut off in its name":     {named[:15], "gzip data is truncated", io.ErrUnexpectedEOF},
		"gzip, second cut off in name": {g + named[:15], "gzip data is truncated", io.ErrUnexpectedEOF},
		"gzip, second cut off at once": {g + g[:1], "gzip data is truncated", io.ErrUnexpectedEOF},
		"gzip, text behind it":         {g + "text text text", behind, errTrailing},
		"gzip, a little behind it":     {g + "x\n", behind, errTrailing},
		"gzip, zeros and text":         {g + "\x00\x00x", behind, errTrailing},
		"gzip, zeros and gzip":         {g + "\x00\x00" + g, behind, errTrailing},
		"zstd cut off":                 {z[:len(z)/2], "zstd data is truncated", io.ErrUnexpectedEOF},
		"zstd without its last byte":   {z[:len(z)-1], "zstd data is truncated", io.ErrUnexpectedEOF},
		"zstd with a wrong checksum":   {flip(z, len(z)-1), "zstd data is damaged", zstd.ErrCRCMismatch},
		"zstd, text behind it":         {z + "text text text", "zstd data is damaged or followed by something else", zstd.ErrMagicMismatch},
		"xz":                           {"\xfd7zXZ\x00rest", "xz is not supported", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t, "-", 100, 1<<20, strings.NewReader(c.content))
			cuts, err := drain(s)
			if err == nil || !strings.Contains(err.Error(), c.want) || c.is != nil && !errors.Is(err, c.is) {
				t.Fatalf("after %d chunks: %v, want %q", len(cuts), err, c.want)
			}
			if !strings.HasPrefix(err.Error(), "read stdin, line ") || !strings.Contains(err.Error(), ", byte ") {
				t.Errorf("%v: does not name file and place", err)
			}
			for _, cut := range cuts {
				if cut.Chunk.Count != 100 || len(cut.Bad) > 0 {
					t.Errorf("chunk %d has %d objects, flaws %v: the end of torn data became objects", cut.Chunk.ID, cut.Chunk.Count, cut.Bad)
				}
			}
			if _, _, again := s.Next(t.Context()); !errors.Is(again, err) {
				t.Errorf("Next after the error: %v, want %v", again, err)
			}
		})
	}
}

// namedGzip compresses content and stores its file name, as the program does.
func namedGzip(t *testing.T, name, content string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Name = name
	if _, err := io.WriteString(w, content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestSource_readErrors(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	s := open(t, "-", 2, 100, io.MultiReader(strings.NewReader("1\n2\n3\n4"), iotest.ErrReader(broken)))
	cuts, err := drain(s)
	if len(cuts) != 1 || !errors.Is(err, broken) || !strings.Contains(err.Error(), "read stdin, line 4, byte 6: ") {
		t.Errorf("%d chunks, %v, want 1 and the place of the error", len(cuts), err)
	}

	// A file that vanishes after Open.
	folder := write(t, "a", "1\n", "b", "2\n")
	s = open(t, folder+"/*", 1, 100, nil)
	if err := os.Remove(filepath.Join(folder, "b")); err != nil {
		t.Fatal(err)
	}
	cuts, err = drain(s)
	if len(cuts) != 1 || !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), filepath.Join(folder, "b")) {
		t.Errorf("%d chunks, %v, want 1 and the missing file", len(cuts), err)
	}
}

func TestSource_cancel(t *testing.T) {
	t.Parallel()
	folder := write(t, "a", numbers(0, 10, "%d\n"))
	ctx, cancel := context.WithCancel(t.Context())
	s := open(t, folder+"/a", 2, 100, nil)
	if _, _, err := s.Next(ctx); err != nil {
		t.Fatal(err)
	}
	cancel()
	if c, _, err := s.Next(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Next = %d objects, %v, want %v", c.Count, err, context.Canceled)
	}
	if _, _, err := s.Next(t.Context()); !errors.Is(err, context.Canceled) {
		t.Errorf("Next after the cancelled one: %v, want %v again", err, context.Canceled)
	}
}

func TestSource_cancelWhileStdinWaits(t *testing.T) {
	t.Parallel()
	for name, begin := range map[string]string{"nothing yet": "", "lines": "1\n2\n3\n", "gzip": gz("1\n2\n3\n")[:15]} {
		r, w := io.Pipe()
		s, err := Open(Options{Size: 2, Bytes: 100, Stdin: r}, "-")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() {
			for {
				if _, _, err := s.Next(ctx); err != nil {
					ended <- err
					return
				}
			}
		}()
		if _, err := io.WriteString(w, begin); err != nil { // returns when it has been read
			t.Fatal(err)
		}
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("%s: Next: %v, want %v", name, err, context.Canceled)
		}
		if err := s.Close(); err != nil {
			t.Errorf("%s: close: %v", name, err)
		}
		_ = w.Close() // ends the uninterruptible read; TestMain checks it
	}
}

// A chunk is returned as soon as its objects have arrived, also on a slow stdin.
func TestSource_noWaitForMoreThanNeeded(t *testing.T) {
	t.Parallel()
	r, w := io.Pipe()
	s := open(t, "-", 2, 100, r)
	go func() { _, _ = io.WriteString(w, "1\n2\n") }()
	if c, _, err := s.Next(t.Context()); err != nil || string(c.Body) != "1\n2\n" {
		t.Errorf("first chunk %q, %v", c.Body, err)
	}
	_ = w.Close()
	if _, _, err := s.Next(t.Context()); !errors.Is(err, io.EOF) {
		t.Errorf("after the end: %v, want io.EOF", err)
	}
}
