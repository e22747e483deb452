package verify

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/tabular"
)

// A file is an output file that the sink wrote at the end of the job. It is compared with its expected content.
type file interface {
	expect(r *Report, lines []byte)            // compares the next lines
	skip(r *Report, bytes int64, lines uint64) // skips lines whose content is unknown
	end(r *Report)                             // checks that nothing follows
	close()
}

// noFile stands for a file that the sink does not have, or that cannot be read.
type noFile struct{}

func (noFile) expect(*Report, []byte)      {}
func (noFile) skip(*Report, int64, uint64) {}
func (noFile) end(*Report)                 {}
func (noFile) close()                      {}

// openFile opens a file whose name selects its format.
func openFile(r *Report, path string) (file, error) {
	if path == "" {
		return noFile{}, nil
	}
	in, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		r.problem("%s: the job is finished, but the file does not exist", path)
		return noFile{}, nil
	}
	var info fs.FileInfo
	if err == nil {
		info, err = in.Stat()
	}
	if err != nil {
		return nil, fmt.Errorf("open output file: %w", err)
	}
	return openContent(r, path, in, info.Size()), nil
}

// content is the content of a file.
type content interface {
	io.ReadCloser
	io.ReaderAt
}

// openContent opens the content of a file, of this many bytes, whose name selects its format. The returned file closes
// it.
func openContent(r *Report, path string, in content, size int64) file {
	var opened file
	var err error
	switch sink.TableOf(path) {
	case tabular.Parquet:
		opened, err = openParquet(path, in, size)
	case tabular.CSV:
		opened, err = openCSV(path, in)
	default:
		opened, err = openLines(path, in)
	}
	if err != nil {
		r.problem("%v", err)
		_ = in.Close() // it was only read
		return noFile{}
	}
	return opened
}

// A comparison of a file ends with the first difference, which is a problem.
type comparison struct {
	path   string
	differ bool
}

func (c *comparison) fail(r *Report, format string, args ...any) {
	if !c.differ {
		c.differ = true
		r.problem("%s: "+format, append([]any{c.path}, args...)...)
	}
}

// isEnd reports whether reading has failed because the file ends, and not because it cannot be read.
func isEnd(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }

// linesFile is a file of lines, which may be compressed.
type linesFile struct {
	comparison

	closers []io.Closer
	reader  *bufio.Reader
	offset  int64 // of the lines
	buffer  []byte
}

func openLines(path string, in content) (*linesFile, error) {
	lines, err := sink.Decompress(path, in)
	if err != nil {
		return nil, err
	}
	return &linesFile{comparison: comparison{path: path}, closers: []io.Closer{lines, in}, reader: bufio.NewReaderSize(lines, 1<<20)}, nil
}

func (l *linesFile) close() {
	for _, c := range l.closers {
		_ = c.Close() // it was only read
	}
}

func (l *linesFile) expect(r *Report, want []byte) {
	if l.differ {
		return
	}
	if cap(l.buffer) < len(want) {
		l.buffer = make([]byte, len(want))
	}
	got := l.buffer[:len(want)]
	n, err := io.ReadFull(l.reader, got)
	if err != nil || !bytes.Equal(got, want) {
		same := 0
		for same < n && got[same] == want[same] {
			same++
		}
		at := l.offset + int64(same)
		if same < n || err == nil || isEnd(err) {
			l.fail(r, "differs from the chunks at byte %d", at)
		} else {
			l.fail(r, "cannot be read at byte %d: %v", at, err)
		}
	}
	l.offset += int64(len(want))
}

func (l *linesFile) skip(r *Report, n int64, _ uint64) {
	if l.differ {
		return
	}
	skipped, err := l.reader.Discard(int(n))
	switch {
	case isEnd(err):
		l.fail(r, "ends before byte %d", l.offset+n)
	case err != nil:
		l.fail(r, "cannot be read at byte %d: %v", l.offset+int64(skipped), err)
	}
	l.offset += n
}

func (l *linesFile) end(r *Report) {
	if l.differ {
		return
	}
	switch _, err := l.reader.ReadByte(); {
	case errors.Is(err, io.EOF):
	case err != nil:
		l.fail(r, "cannot be read to its end: %v", err)
	default:
		l.fail(r, "continues after byte %d, where the last chunk ends", l.offset)
	}
}
