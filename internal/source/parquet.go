package source

import (
	"errors"
	"fmt"
	"io"
	"syscall"
	"unicode/utf8"

	"github.com/parquet-go/parquet-go"

	"github.com/chunkline/chunkline/internal/chunk"
)

// parquetMagic are the first bytes of a Parquet file.
const parquetMagic = "PAR1"

var (
	errParquet = errors.New("the Parquet data is damaged or not supported")
	errNoPipe  = errors.New("a Parquet file is read from its end, so it must be a regular file; save the stream to a file first")
)

// parquetBatch is how many rows are read at a time.
const parquetBatch = 64

// objectBuffer is how many bytes of a column are read from an object at a time.
const objectBuffer = 1 << 20

// A parquetReader reads the rows of a Parquet file as objects. The offset of a place is the index of a row.
//
// It holds one page of each column. The author of a file decides how large a page is, usually 1 MiB.
type parquetReader struct {
	in     *parquet.File
	root   *column
	prefix string            // of flaws: the name of the file, or nothing
	file   int               // index of the file in the source
	read   func(share int64) // called with the bytes that the rows read so far account for

	groups []parquet.RowGroup // not yet read to the end
	skip   int64              // rows of the first group before the next row
	rows   parquet.Rows       // of the first group; nil if it is not open
	row    int64              // index of the next row
	total  int64              // rows in the file
	passed int64              // bytes already passed to read

	batch   [parquetBatch]parquet.Row
	next, n int // batch[next:n] has been read but not returned

	values [][]parquet.Value // of the current row, by leaf column; see column
	object []byte            // the last object
}

// openParquet opens a Parquet file at w.at.
func (w *walk) openParquet(f *file) error {
	in, err := f.openContent(w.context)
	if err != nil {
		return err
	}
	w.input = openFile{in}
	size, err := in.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	p, err := newParquetReader(in, size)
	if err != nil {
		return err
	}
	w.objects, w.decoder = p, p
	p.file = w.at.File
	if len(w.list) > 1 {
		p.prefix = f.word() + ", "
	}
	if w.read != nil {
		p.read = func(share int64) { w.read.Add(share) }
	}
	return p.seek(w.at.Offset)
}

// newParquetReader reads the file's footer. It returns an error if rows cannot become objects.
func newParquetReader(disk io.ReaderAt, size int64) (_ *parquetReader, err error) {
	defer recoverParquet(&err)
	options := []parquet.FileOption{parquet.SkipBloomFilters(true)}
	if _, remote := disk.(*objectReader); remote {
		options = append(options, parquet.ReadBufferSize(objectBuffer)) // each read is a request
	}
	in, err := parquet.OpenFile(disk, size, options...)
	if err != nil {
		return nil, wrapParquet(err)
	}
	root, leaves, err := newColumn(in.Root(), 0)
	if err != nil {
		return nil, err
	}
	root.optional, root.repeated, root.shape = false, false, isGroup
	p := &parquetReader{in: in, root: root, groups: in.RowGroups(), values: make([][]parquet.Value, leaves)}
	for _, group := range p.groups {
		p.total += group.NumRows()
	}
	return p, nil
}

// seek moves to a row of a file that has just been opened.
func (p *parquetReader) seek(row int64) error {
	if row > p.total {
		return fmt.Errorf("%w: the file has only %d rows now", ErrChanged, p.total)
	}
	p.row, p.skip = row, row
	for len(p.groups) > 0 && p.skip >= p.groups[0].NumRows() {
		p.skip -= p.groups[0].NumRows()
		p.groups = p.groups[1:]
	}
	return nil
}

// Place implements reader.
func (p *parquetReader) Place() chunk.Place { return chunk.Place{File: p.file, Offset: p.row} }

// Next implements reader.
func (p *parquetReader) Next() (_ chunk.Object, err error) {
	defer recoverParquet(&err)
	for p.next == p.n {
		if err := p.fill(); err != nil {
			return chunk.Object{}, err
		}
	}
	at := p.Place()
	problem, err := p.convert(p.batch[p.next])
	if err != nil {
		return chunk.Object{}, err
	}
	p.next++
	p.row++
	p.report()
	object := chunk.Object{Bytes: p.object}
	switch {
	case len(p.object) > chunk.MaxObject:
		object = chunk.LeftOut(p.object, p.where())
		p.object = nil
	case problem == "" && !utf8.Valid(p.object):
		problem = "a string is not valid UTF-8"
	}
	if problem != "" && object.Flaw == "" {
		object.Flaw = p.where() + ": " + problem
	}
	object.Place = at
	return object, nil
}

// where names the last row in flaws.
func (p *parquetReader) where() string { return fmt.Sprintf("%srow %d", p.prefix, p.row) }

// Close releases the resources of the open row group.
func (p *parquetReader) Close() error {
	if p.rows == nil {
		return nil
	}
	rows := p.rows
	p.rows = nil
	return rows.Close()
}

// fill reads the next rows into the batch. It returns io.EOF after the last.
func (p *parquetReader) fill() error {
	if len(p.groups) == 0 {
		p.report()
		return io.EOF
	}
	if p.rows == nil {
		p.rows = p.groups[0].Rows()
		if p.skip > 0 {
			if err := p.rows.SeekToRow(p.skip); err != nil {
				return wrapParquet(err)
			}
		}
	}
	left := p.groups[0].NumRows() - p.skip
	n, err := p.rows.ReadRows(p.batch[:min(left, parquetBatch)])
	if err != nil && err != io.EOF { //nolint:errorlint // only io.EOF itself is the end
		return wrapParquet(err)
	}
	p.next, p.n = 0, n
	p.skip += int64(n)
	switch {
	case int64(n) == left: // the library does not always report the end of a group
		p.groups, p.skip = p.groups[1:], 0
		return wrapParquet(p.Close())
	case n == 0:
		return fmt.Errorf("%w: a row group ends %d rows too early", errParquet, left)
	}
	return nil
}

// report reports the progress. Each row counts as an equal share of the file.
func (p *parquetReader) report() {
	share := p.in.Size()
	if p.row < p.total {
		share = int64(float64(share) * float64(p.row) / float64(p.total))
	}
	if p.read != nil {
		p.read(share - p.passed)
	}
	p.passed = share
}

// convert makes the object of a row. problem says which part of it JSON cannot represent; err means that the row is
// damaged.
func (p *parquetReader) convert(row parquet.Row) (problem string, err error) {
	clear(p.values)
	for len(row) > 0 {
		leaf, n := row[0].Column(), 1
		for n < len(row) && row[n].Column() == leaf {
			n++
		}
		p.values[leaf] = row[:n]
		row = row[n:]
	}
	o := objectWriter{dst: p.object[:0], values: p.values}
	o.content(p.root)
	p.object = o.dst
	for _, rest := range p.values {
		if len(rest) > 0 {
			return "", fmt.Errorf("%w: a column has more values than its row", errParquet)
		}
	}
	return o.problem, nil
}

// wrapParquet marks an error of the library as damaged data, unless the file or the object could not be read. It hides
// io.EOF, which would mean the end of the source.
func wrapParquet(err error) error {
	if _, ok := errors.AsType[syscall.Errno](err); ok || err == nil {
		return err
	}
	if failed, ok := errors.AsType[requestError](err); ok {
		return failed
	}
	return fmt.Errorf("%w: %s", errParquet, err.Error())
}

// recoverParquet turns a panic into an error. The library panics on some damaged files, and an objectWriter panics if a
// column lacks values.
func recoverParquet(err *error) {
	if reason := recover(); reason != nil {
		*err = fmt.Errorf("%w: %v", errParquet, reason)
	}
}
