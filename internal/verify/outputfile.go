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
)

// outputFile compares a file that the sink wrote at the end of the job with its
// expected content. Without a path all methods do nothing.
type outputFile struct {
	path   string
	file   *os.File
	lines  io.Closer
	reader *bufio.Reader
	offset int64 // of the lines, which may be compressed in the file
	differ bool  // the difference has been reported
	buffer []byte
}

func (l *outputFile) open(r *Report, path string) error {
	if path == "" {
		return nil
	}
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		r.problem("%s: the job is finished, but the file does not exist", path)
		return nil
	}
	if err != nil {
		return fmt.Errorf("open output file: %w", err)
	}
	lines, err := sink.Decompress(path, file)
	if err != nil {
		r.problem("%v", err)
		_ = file.Close() // it was only read
		return nil
	}
	l.path, l.file, l.lines, l.reader = path, file, lines, bufio.NewReaderSize(lines, 1<<20)
	return nil
}

func (l *outputFile) close() {
	if l.file != nil {
		_, _ = l.lines.Close(), l.file.Close() // they were only read
	}
}

// expect compares the next bytes of the file with want.
func (l *outputFile) expect(r *Report, want []byte) {
	if l.file == nil || l.differ {
		return
	}
	if cap(l.buffer) < len(want) {
		l.buffer = make([]byte, len(want))
	}
	got := l.buffer[:len(want)]
	n, err := io.ReadFull(l.reader, got)
	if err != nil || !bytes.Equal(got, want) {
		l.differ = true
		same := 0
		for same < n && got[same] == want[same] {
			same++
		}
		r.problem("%s: differs from the chunks at byte %d", l.path, l.offset+int64(same))
	}
	l.offset += int64(len(want))
}

// skip skips n bytes whose expected content is unknown.
func (l *outputFile) skip(r *Report, n int64) {
	if l.file == nil || l.differ {
		return
	}
	if _, err := l.reader.Discard(int(n)); err != nil {
		l.differ = true
		r.problem("%s: ends before byte %d", l.path, l.offset+n)
	}
	l.offset += n
}

// end checks that nothing follows the last chunk.
func (l *outputFile) end(r *Report) {
	if l.file == nil || l.differ {
		return
	}
	switch _, err := l.reader.ReadByte(); {
	case errors.Is(err, io.EOF):
	case err != nil:
		r.problem("%s: cannot be read to its end: %v", l.path, err)
	default:
		r.problem("%s: continues after byte %d, where the last chunk ends", l.path, l.offset)
	}
}
