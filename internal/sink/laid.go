package sink

import (
	"fmt"
	"io"
	"os"

	"github.com/cespare/xxhash/v2"
)

// A Laid is a file that Finish has laid out, open for reading. The caller closes it.
type Laid struct {
	io.ReaderAt
	io.Closer
	Bytes int64
	Sum   uint64 // XXH64 of all bytes, as they were written
}

// OpenOutput opens the ordered outputs, or the ordered dead letters; without any of these
// they are an empty file. It returns ErrIncomplete while the job is not finished, and an
// error if the file was removed or has another size than it was written with. That its content is as
// it was written is for the reader to check, by Sum. What is open stays as it is when a
// later Finish puts another file into its place.
func (f *Folder) OpenOutput(dead bool) (Laid, error) {
	s := f.state.Load()
	path, known, bytes := f.o.Output, s.written.Outputs, s.totals.OutputBytes
	if dead {
		path, known, bytes = f.o.DeadFile, s.written.Dead, s.totals.DeadBytes
	}
	switch {
	case s.finished == nil:
		return Laid{}, fmt.Errorf("sink folder %s: %w", f.dir, ErrIncomplete)
	case dead && s.totals.Dead == 0:
		return Laid{ReaderAt: emptyFile{}, Closer: emptyFile{}, Sum: xxhash.New().Sum64()}, nil
	}
	info, err := f.fs.Stat(path)
	if err != nil {
		return Laid{}, fmt.Errorf("open output: %w", err)
	}
	if len(known) != 1 || known[0].Bytes != bytes || uint64(info.Size()) != bytes {
		return Laid{}, fmt.Errorf("%s is not as this job wrote it: it has %d bytes, not %d", path, info.Size(), bytes)
	}
	in, err := f.fs.OpenFile(path, os.O_RDONLY)
	if err != nil {
		return Laid{}, fmt.Errorf("open output: %w", err)
	}
	return Laid{ReaderAt: in, Closer: in, Bytes: int64(bytes), Sum: known[0].Sum}, nil
}

// emptyFile is a file without content.
type emptyFile struct{}

func (emptyFile) ReadAt([]byte, int64) (int, error) { return 0, io.EOF }
func (emptyFile) Close() error                      { return nil }
