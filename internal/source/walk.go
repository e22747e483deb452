package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"

	"github.com/chunkline/chunkline/internal/chunk"
)

// A walk reads files one after the other, as one run of objects.
type walk struct {
	list    []file
	oneLine chunk.Format  // how a regular file of one line that is an array is read
	formats *formats      // takes notes of streams; nil: there are none
	at      chunk.Place   // where the file that is open or to be opened next begins to be read
	buffer  int           // of the scanner; 0: its default
	read    *atomic.Int64 // counts the bytes read; nil: nobody asks

	// ctx is that of the call of Next or Reread that is running: between it
	// and the reading of a file are decoders that take no context.
	ctx context.Context

	input   input // nil: no file is open
	decoder io.ReadCloser
	scanner *chunk.Scanner
}

// next returns the next object; it is what a chunk.Cutter asks.
func (w *walk) next() (chunk.Object, error) {
	for {
		if err := w.ctx.Err(); err != nil {
			return chunk.Object{}, err
		}
		if w.scanner == nil {
			if w.at.File == len(w.list) {
				return chunk.Object{}, io.EOF
			}
			if err := w.open(); err != nil {
				return chunk.Object{}, w.name(err)
			}
		}
		object, err := w.scanner.Next()
		if err == nil {
			return object, nil
		}
		if err != io.EOF { //nolint:errorlint // an error that wraps io.EOF is not the end
			return chunk.Object{}, w.name(err)
		}
		if err := w.close(); err != nil {
			return chunk.Object{}, w.name(err)
		}
		w.at = chunk.Place{File: w.at.File + 1}
	}
}

// name adds to an error where it happened.
func (w *walk) name(err error) error {
	if w.ctx.Err() != nil {
		return w.ctx.Err() // a decoder may have wrapped it beyond recognition
	}
	at := w.at
	if w.scanner != nil {
		at = w.scanner.Place()
	}
	if errors.Is(err, io.EOF) {
		err = fmt.Errorf("the file ends too early: %w", io.ErrUnexpectedEOF) // nobody may take it for the end of the source
	}
	return fmt.Errorf("read %s, line %d, byte %d: %w", w.list[w.at.File].word(), max(at.Line, 1), at.Offset, err)
}

// open opens the file at w.at.
func (w *walk) open() error {
	f := &w.list[w.at.File]
	switch {
	case f.stdin != nil:
		w.input = newPump(func() (io.ReadCloser, error) { return io.NopCloser(f.stdin), nil })
	case !f.regular:
		w.input = newPump(func() (io.ReadCloser, error) { return os.Open(f.name) })
	default:
		file, err := os.Open(f.name)
		if err != nil {
			return err
		}
		w.input = diskFile{file}
		if err := skip(file, w.at.Offset); err != nil {
			return err
		}
	}
	var r io.Reader = tap{w}
	if w.at.Offset == 0 {
		decoder, err := decode(r)
		if err != nil {
			return err
		}
		w.decoder, r = decoder, decoder
	}
	o := chunk.ScanOptions{Format: f.format, At: w.at, Buffer: w.buffer, Decide: func(g chunk.Guess) (chunk.Format, error) { return w.decide(f, g) }}
	if len(w.list) > 1 {
		o.Name = f.word()
	}
	w.scanner = chunk.NewScanner(r, o)
	return nil
}

// decide turns what a file is guessed to be into a format.
func (w *walk) decide(f *file, g chunk.Guess) (chunk.Format, error) {
	oneLine := w.oneLine
	if !f.regular {
		w.formats.add(g, f.word())
		var err error
		if oneLine, err = w.formats.settle(); err != nil {
			return chunk.Auto, err
		}
	}
	if g == chunk.IsOneLine {
		return oneLine, nil
	}
	return g.Format(), nil
}

// skip goes to offset, which must be in the file.
func skip(f *os.File, offset int64) error {
	if offset == 0 {
		return nil
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Size() < offset {
		return fmt.Errorf("%w: the file has only %d bytes now", ErrChanged, info.Size())
	}
	_, err = f.Seek(offset, io.SeekStart)
	return err
}

// close closes the file that is open, if one is.
func (w *walk) close() error {
	if w.decoder != nil {
		_ = w.decoder.Close() // it repeats what Read has said
	}
	var err error
	if w.input != nil {
		err = w.input.close()
	}
	w.input, w.decoder, w.scanner = nil, nil, nil
	return err
}

// An input is the undecoded bytes of a file.
type input interface {
	// read is io.Reader's Read that ends when ctx does.
	read(ctx context.Context, b []byte) (int, error)
	close() error
}

// diskFile is a regular file; its reads are not interrupted, but short.
type diskFile struct{ *os.File }

func (f diskFile) read(ctx context.Context, b []byte) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	return f.Read(b)
}

func (f diskFile) close() error { return f.Close() }

// tap reads the input of a walk, with the context of the running call.
type tap struct{ w *walk }

func (t tap) Read(b []byte) (int, error) {
	n, err := t.w.input.read(t.w.ctx, b)
	if t.w.read != nil {
		t.w.read.Add(int64(n))
	}
	return n, err
}
