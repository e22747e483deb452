package sink_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/sink/sinktest"
)

// TestCompressedOutput: a file whose name ends in .gz or .zst is compressed so, and a table can be compressed. Finish
// knows it again, and OpenOutput has its bytes as they are.
func TestCompressedOutput(t *testing.T) {
	t.Parallel()
	all := sinktest.Chain("", []int{1, -1}, []int{2, 700}, []int{-1})
	_, outputs, dead := sinktest.Expect(all...)
	for name, decompress := range map[string]func(io.Reader) (io.Reader, error){
		"out.jsonl.gz":  func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) },
		"out.jsonl.ZST": func(r io.Reader) (io.Reader, error) { return zstd.NewReader(r) },
		"out.csv.gz":    func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) },
		"out.csv":       func(r io.Reader) (io.Reader, error) { return r, nil },
		"out.parquet":   func(r io.Reader) (io.Reader, error) { return r, nil },
		"out.txt":       func(r io.Reader) (io.Reader, error) { return r, nil },
	} {
		home := t.TempDir()
		dir := filepath.Join(home, "sink")
		o := sink.FolderOptions{Output: filepath.Join(home, name), DeadFile: filepath.Join(home, "dead.jsonl"+compression(name))}
		f := openClaimed(t, dir, o)
		commit(t, f, all...)
		sum, err := f.Finish(t.Context(), 3, 5)
		if err != nil {
			t.Fatal(err)
		}
		for path, want := range map[string][]byte{sum.Output: sinktest.Content(sink.TrimCompression(name), outputs), sum.DeadFile: dead} {
			in, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			lines, err := decompress(bytes.NewReader(in))
			if err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			if got, err := io.ReadAll(lines); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s has %.100q (%v), want %.100q", path, got, err, want)
			}
			own, err := sink.Decompress(path, bytes.NewReader(in))
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(own); err != nil || !bytes.Equal(got, want) {
				t.Errorf("Decompress of %s: %.100q (%v), want %.100q", path, got, err, want)
			}
			merged, err := f.OpenOutput(path == sum.DeadFile)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(io.NewSectionReader(merged, 0, merged.Bytes)); err != nil || !bytes.Equal(got, in) {
				t.Errorf("OpenOutput of %s has other bytes than the file (%v)", path, err)
			}
			if merged.MediaType != sink.MediaType(path) {
				t.Errorf("%s is %s, want %s", path, merged.MediaType, sink.MediaType(path))
			}
			_ = merged.Close()
		}
		closeIt(t, f)
		disk := newTestFS()
		f = openOn(t, disk, dir, o)
		disk.after = func(s step) { t.Errorf("%s: the second finish does %s %s", name, s.op, s.path) }
		if _, err := f.Finish(t.Context(), 3, 5); err != nil {
			t.Error(err)
		}
		disk.after = func(step) {}
		closeIt(t, f)
	}
	if err := sink.CheckMediaType("out.jsonl", "application/gzip"); err == nil || !strings.Contains(err.Error(), "out.jsonl.gz") {
		t.Errorf("gzip in out.jsonl: %v", err)
	}
}

// compression returns the extension of a name's compression.
func compression(name string) string { return name[len(sink.TrimCompression(name)):] }

// TestPromisedFormat: a name that promises a format other than the file's is refused before anything is made.
func TestPromisedFormat(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	dir := filepath.Join(home, "sink")
	for name, hint := range map[string]string{
		"a.TSV": "a.jsonl.gz", "a.tsv.gz": "a.jsonl.gz", "a.jsonl.bz2": "a.jsonl.jsonl.gz", "a.xz": "a.jsonl.gz", "a.parquet.gz": "a.parquet", "a.parquet.ZST": "a.parquet",
	} {
		_, err := sink.OpenFolder(dir, job, sink.FolderOptions{Output: filepath.Join(home, name)})
		if !errors.Is(err, sink.ErrSettings) || !strings.Contains(err.Error(), "the name "+hint) && !strings.Contains(err.Error(), " "+hint+" ") {
			t.Errorf("%s: %v, want ErrSettings and the name %s", name, err, hint)
		}
	}
	for _, name := range []string{"dead.csv", "dead.parquet"} {
		if _, err := sink.OpenFolder(dir, job, sink.FolderOptions{DeadFile: filepath.Join(home, name)}); !errors.Is(err, sink.ErrSettings) {
			t.Errorf("dead letters in %s: %v, want ErrSettings", name, err)
		}
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a refused folder was created (%v)", err)
	}
}
