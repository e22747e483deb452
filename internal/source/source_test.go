package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"go.uber.org/goleak"

	"github.com/chunkline/chunkline/internal/chunk"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// write writes files, given as name and content in turn, into a new folder.
func write(t *testing.T, files ...string) (folder string) {
	t.Helper()
	folder = t.TempDir()
	for i := 0; i < len(files); i += 2 {
		path := filepath.Join(folder, files[i])
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(files[i+1]), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

func open(t *testing.T, spec string, size, bytes int, stdin io.Reader) Source {
	t.Helper()
	s, err := Open(Options{Size: size, Bytes: bytes, Stdin: stdin}, spec)
	if err != nil {
		t.Fatalf("open %s: %v", spec, err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close %s: %v", spec, err)
		}
	})
	return s
}

type cut struct {
	chunk.Chunk
	Mark
}

// drain returns all chunks of s and the final error, nil for io.EOF.
func drain(s Source) (cuts []cut, err error) {
	for {
		c, m, err := s.Next(context.Background())
		if errors.Is(err, io.EOF) {
			return cuts, nil
		} else if err != nil {
			return cuts, err
		}
		cuts = append(cuts, cut{c, m})
	}
}

// objects returns the objects of the chunks, with the flaws of those that have one.
func objects(cuts []cut) (all []string) {
	for _, c := range cuts {
		first := len(all)
		for _, object := range chunk.Objects(c.Body) {
			all = append(all, string(object))
		}
		for _, flaw := range c.Bad {
			all[first+flaw.Index] += " ! " + flaw.Reason
		}
	}
	return all
}

func gz(members ...string) string {
	var b bytes.Buffer
	for _, m := range members {
		w := gzip.NewWriter(&b)
		_, _ = w.Write([]byte(m))
		_ = w.Close()
	}
	return b.String()
}

func zst(t *testing.T, frames ...string) string {
	t.Helper()
	e, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	var b []byte
	for _, f := range frames {
		b = e.EncodeAll([]byte(f), b)
	}
	return string(b)
}

func numbers(from, to int, format string) string {
	var b strings.Builder
	for i := from; i < to; i++ {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

func TestSource_everyKindOfFile(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 99, 100, 101, 1000} {
		lines := numbers(0, n, "{\"n\":%d}\n")
		array := "[" + strings.TrimSuffix(numbers(0, n, `{"n":%d},`), ",") + "]\n"
		half := len(lines) / 2 // in the middle of a line
		for name, content := range map[string]string{
			"lines": lines, "no last line break": strings.TrimSuffix(lines, "\n"), "CRLF and mark": "\ufeff" + strings.ReplaceAll(lines, "\n", "\r\n"),
			"values": strings.ReplaceAll(strings.TrimSuffix(lines, "\n"), "\n", " "), "values side by side": strings.ReplaceAll(lines, "\n", ""),
			"array": array, "gzip": gz(lines), "gzip members": gz(lines[:half], "", lines[half:]), "gzip array": gz(array), "gzip and zeros": gz(lines) + strings.Repeat("\x00", 1000), "gzip members and a zero": gz(lines[:half], lines[half:], "") + "\x00",
			"zstd": zst(t, lines), "zstd frames": zst(t, lines[:half], lines[half:]), "zstd array": zst(t, array),
			"csv": "n\r\n" + numbers(0, n, "\"%d\"\r\n"), "csv gzip": gz("n\n" + numbers(0, n, "%d\n")), "csv zstd": zst(t, "\ufeffn\n"+numbers(0, n, "%d\n\n")),
			"parquet":                     parquetOf(t, numbered(n), 300),
			"zstd behind a frame to skip": "\x5a\x2a\x4d\x18\x03\x00\x00\x00abc" + zst(t, lines),
		} {
			t.Run(fmt.Sprintf("%s of %d", name, n), func(t *testing.T) {
				t.Parallel()
				path, stdin := filepath.Join(write(t, "in", content), "in"), "-"
				if strings.HasPrefix(name, "csv") {
					path, stdin = path+"?format=csv&types=auto", stdin+"?format=csv&types=auto"
				}
				sources := []Source{open(t, path, 100, chunk.DefaultBytes, nil)}
				if name != "parquet" { // it needs a file
					sources = append(sources, open(t, stdin, 100, chunk.DefaultBytes, strings.NewReader(content)))
				}
				for _, s := range sources {
					cuts, err := drain(s)
					if got := strings.Join(objects(cuts), "\n"); err != nil || got != strings.TrimSuffix(lines, "\n") {
						t.Fatalf("%s: got %.200q, %v, want %.200q", s.Identity(), got, err, lines)
					}
					for i, c := range cuts {
						if c.Chunk.ID != chunk.ID(i) || c.Chunk.First != uint64(100*i) || c.Chunk.Count != min(100, n-100*i) {
							t.Errorf("chunk %d: ID %d, first %d, %d objects", i, c.Chunk.ID, c.Chunk.First, c.Chunk.Count)
						}
					}
					if want := len(content); want > 0 {
						read, total := s.Progress()
						if strings.HasPrefix(s.Identity(), "stdin") {
							want = 0
						}
						if read != int64(len(content)) || total != int64(want) {
							t.Errorf("%s: progress %d of %d, want %d of %d", s.Identity(), read, total, len(content), want)
						}
					}
				}
			})
		}
	}
}

func TestSource_severalFiles(t *testing.T) {
	t.Parallel()
	folder := write(t,
		"b.jsonl", numbers(0, 7, "%d\n"), "empty", "", "a.json", "[\n7,\n8,\n9]", "blank", "\n\r\n", "c.gz", gz("[10,11]\n[12]\n"), "last", "13\nx\n")
	var paths []string
	for _, name := range []string{"b.jsonl", "empty", "a.json", "blank", "c.gz", "last"} {
		paths = append(paths, filepath.Join(folder, name))
	}
	spec := strings.Join(paths, ",")
	s := open(t, spec, 4, 100, nil)
	cuts, err := drain(s)
	last := filepath.Join(folder, "last")
	want := []string{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "[10,11]", "[12]", "13",
		"x ! " + last + ", line 2, byte 3: not valid JSON: invalid character 'x' looking for beginning of value (byte 1 of the object)"}
	if got := objects(cuts); err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
	if s.Identity() != spec || s.Rereads() {
		t.Errorf("identity %q, rereads %v, want %q, false because of the gzip file", s.Identity(), s.Rereads(), spec)
	}
	if read, total := s.Progress(); read != total || total == 0 {
		t.Errorf("progress %d of %d at the end", read, total)
	}
	if plan := s.Plan(); plan != (chunk.Plan{Source: s.Identity(), Size: 4, Bytes: 100, Format: chunk.FormatVersion}) {
		t.Errorf("plan %+v", plan)
	}
	if _, _, err := s.Next(t.Context()); !errors.Is(err, io.EOF) {
		t.Errorf("Next after the end: %v, want io.EOF", err)
	}
}

func TestSource_formatOfItem(t *testing.T) {
	t.Parallel()
	folder := write(t, "x", "[1,2]\n[3]\n", "y", "[4,5]\n")
	x, y := filepath.Join(folder, "x"), filepath.Join(folder, "y")
	for spec, want := range map[string]string{
		x + "," + y: "[1,2] [3] [4,5]",
		y + "," + x: "[4,5] [1,2] [3]",
		y:           "4 5",
		x + "?format=array," + y + "?format=lines":                    "1 2 3 [4,5]",
		"file://" + y + "?format=lines,file://" + x:                   "[4,5] [1,2] [3]",
		"file://" + y + "?format=values,file://" + x + "?format=auto": "[4,5] [1,2] [3]",
		filepath.Join(folder, "?") + "?format=array":                  "1 2 3 4 5",
		filepath.Join(folder, "[xy]") + "?format=lines":               "[1,2] [3] [4,5]",
		"file://" + filepath.Join(folder, "*"):                        "[1,2] [3] [4,5]",
	} {
		s := open(t, spec, 100, 1000, nil)
		cuts, err := drain(s)
		if got := strings.Join(objects(cuts), " "); err != nil || got != want {
			t.Errorf("%s: got %q, %v, want %q", spec, got, err, want)
		}
		again := open(t, s.Identity(), 100, 1000, nil)
		if again.Plan().ID() != s.Plan().ID() {
			t.Errorf("%s: opened by its identity %q it has identity %q", spec, s.Identity(), again.Identity())
		}
	}
	s := open(t, "stdin:?format=lines", 100, 1000, strings.NewReader("[1,2]"))
	if cuts, err := drain(s); err != nil || !slices.Equal(objects(cuts), []string{"[1,2]"}) || s.Identity() != "stdin?format=lines" {
		t.Errorf("%s: got %q, %v", s.Identity(), objects(cuts), err)
	}
}

func TestSource_chunkBytes(t *testing.T) {
	t.Parallel()
	s := open(t, "-", 100, 10, strings.NewReader("1234\n1234\n\"3456789012\"\n1\n2\n"))
	cuts, err := drain(s)
	var got []string
	for _, c := range cuts {
		got = append(got, string(c.Body))
	}
	if want := []string{"1234\n1234\n", "\"3456789012\"\n", "1\n2\n"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}
