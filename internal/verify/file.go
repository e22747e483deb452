package verify

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// laidOut compares a file that Finish wrote with what should be in it. With no
// file it expects nothing and finds nothing.
type laidOut struct {
	path   string
	file   *os.File
	reader *bufio.Reader
	offset int64
	differ bool // it was said that the file differs
	buffer []byte
}

func (l *laidOut) open(r *Report, path string) error {
	if path == "" {
		return nil
	}
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		r.problem("%s: the job was finished, but the file is not there", path)
		return nil
	}
	if err != nil {
		return fmt.Errorf("open laid-out file: %w", err)
	}
	l.path, l.file, l.reader = path, file, bufio.NewReaderSize(file, 1<<20)
	return nil
}

func (l *laidOut) close() {
	if l.file != nil {
		_ = l.file.Close() // it was only read
	}
}

// expect compares the next bytes of the file with want.
func (l *laidOut) expect(r *Report, want []byte) {
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
		r.problem("%s: differs from what the chunks hold at byte %d", l.path, l.offset+int64(same))
	}
	l.offset += int64(len(want))
}

// skip passes over n bytes that nobody knows.
func (l *laidOut) skip(r *Report, n int64) {
	if l.file == nil || l.differ {
		return
	}
	if _, err := l.reader.Discard(int(n)); err != nil {
		l.differ = true
		r.problem("%s: ends before byte %d", l.path, l.offset+n)
	}
	l.offset += n
}

// end checks that nothing follows.
func (l *laidOut) end(r *Report) {
	if l.file == nil || l.differ {
		return
	}
	if _, err := l.reader.ReadByte(); !errors.Is(err, io.EOF) {
		r.problem("%s: goes on after byte %d, where the last chunk ends", l.path, l.offset)
	}
}
