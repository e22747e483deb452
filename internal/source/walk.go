package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"sync/atomic"

	"github.com/chunkline/chunkline/internal/chunk"
)

// A walk reads files one after another as one sequence of objects.
type walk struct {
	list    []file
	oneLine chunk.Format  // the format of regular files that hold one array on one line
	formats *formats      // records the formats of streams; nil if there are none
	at      chunk.Place   // where reading begins in the open file or the next one
	buffer  int           // of the scanner; 0 means its default
	read    *atomic.Int64 // counts the bytes read; may be nil
	spool   string        // file to which a stream is spooled; "": none
	replay  bool          // read only the spool

	// ctx is the context of the call of Next or Reread in progress. It is a field because the decoders between the call
	// and the file take no context.
	ctx context.Context

	input   input // nil if no file is open
	decoder io.Closer
	objects reader // nil if no file is open
}

// A reader reads the objects of one file. A chunk.Scanner is one.
type reader interface {
	// Next returns the next object, and io.EOF after the last. The next call overwrites the object.
	Next() (chunk.Object, error)
	// Place is the end of the last object or, after an error, the place where reading failed.
	Place() chunk.Place
}

// next returns the next object, for a chunk.Cutter.
func (w *walk) next() (chunk.Object, error) {
	for {
		if err := w.ctx.Err(); err != nil {
			return chunk.Object{}, err
		}
		if w.objects == nil {
			if w.at.File == len(w.list) {
				return chunk.Object{}, io.EOF
			}
			if err := w.open(); err != nil {
				return chunk.Object{}, w.name(err)
			}
		}
		object, err := w.objects.Next()
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

// name adds file and place to an error.
func (w *walk) name(err error) error {
	if w.ctx.Err() != nil {
		return w.ctx.Err() // a decoder may have replaced the context's error
	}
	at := w.at
	if w.objects != nil {
		at = w.objects.Place()
	}
	if errors.Is(err, io.EOF) {
		err = fmt.Errorf("the file ends too early: %w", io.ErrUnexpectedEOF) // io.EOF would mean the end of the source
	}
	return fmt.Errorf("read %s: %w", w.list[w.at.File].where(at), err)
}

// where describes a place in the file for an operator.
func (f *file) where(at chunk.Place) string {
	if f.format.parquet {
		return fmt.Sprintf("%s, row %d", f.word(), at.Offset+1)
	}
	return fmt.Sprintf("%s, line %d, byte %d", f.word(), max(at.Line, 1), at.Offset)
}

// open opens the file at w.at.
func (w *walk) open() error {
	f := &w.list[w.at.File]
	if f.format.parquet {
		return w.openParquet(f)
	}
	o := chunk.ScanOptions{
		Format: f.format.kind, Table: f.format.table, At: w.at, Buffer: w.buffer,
		Decide: func(g chunk.Guess) (chunk.Format, error) { return w.decide(f, g) },
	}
	switch {
	case f.stream != nil:
		w.input = &streamInput{stream: f.stream, source: f.label(), spool: w.spool, replay: w.replay}
	case !f.regular:
		w.input = newPump(pumpBlocks, func() (io.ReadCloser, error) { return os.Open(f.name) })
	default:
		file, err := f.openContent(w.context)
		if err != nil {
			return err
		}
		w.input = openFile{file}
		if err := skip(file, w.at.Offset); err != nil {
			return err
		}
		if w.at.Offset > 0 && f.format.kind == chunk.CSV && o.Table.Columns == nil {
			o.Table.Columns, err = o.Table.ReadColumns(io.NewSectionReader(file, 0, math.MaxInt64))
			if err == io.EOF { //nolint:errorlint // only io.EOF itself is the end
				err = fmt.Errorf("%w: the header is missing", ErrChanged)
			}
			if err != nil {
				return err
			}
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
	if len(w.list) > 1 {
		o.Name = f.word()
	}
	w.objects = chunk.NewScanner(r, o)
	return nil
}

// context returns the context of the call in progress.
func (w *walk) context() context.Context { return w.ctx }

// decide turns the guess about a file into a format.
func (w *walk) decide(f *file, g chunk.Guess) (chunk.Format, error) {
	oneLine := w.oneLine
	if !f.regular {
		w.formats.add(g, f.word())
		var err error
		if oneLine, err = w.formats.oneLineFormat(); err != nil {
			return chunk.Auto, err
		}
	}
	if g == chunk.IsOneLine {
		return oneLine, nil
	}
	return g.Format(), nil
}

// skip moves to offset, which must lie in the file.
func skip(f io.Seeker, offset int64) error {
	if offset == 0 {
		return nil
	}
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if size < offset {
		return fmt.Errorf("%w: the file has only %d bytes now", ErrChanged, size)
	}
	_, err = f.Seek(offset, io.SeekStart)
	return err
}

// close closes the open file, if there is one.
func (w *walk) close() error {
	if w.decoder != nil {
		_ = w.decoder.Close() // Read has returned its errors
	}
	var err error
	if w.input != nil {
		err = w.input.close()
	}
	w.input, w.decoder, w.objects = nil, nil, nil
	return err
}

// An input is the raw bytes of a file.
type input interface {
	// read is io.Reader's Read, and returns when ctx ends.
	read(ctx context.Context, b []byte) (int, error)
	close() error
}

// openFile is a regular file or an object. Reads of a file cannot be interrupted, but are short.
type openFile struct{ content }

func (f openFile) read(ctx context.Context, b []byte) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	return f.Read(b)
}

func (f openFile) close() error { return f.Close() }

// tap reads the input of a walk with the context of the call in progress.
type tap struct{ w *walk }

func (t tap) Read(b []byte) (int, error) {
	n, err := t.w.input.read(t.w.ctx, b)
	if t.w.read != nil {
		t.w.read.Add(int64(n))
	}
	return n, err
}
