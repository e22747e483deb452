package verify

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/source"
	"github.com/chunkline/chunkline/internal/tabular"
)

// csvFile is a CSV file, which may be compressed. The objects are written as rows again, with the columns that the file
// names, and the bytes are compared.
type csvFile struct {
	linesFile
	names []string // nil: the file is empty
	table tabular.Writer
	rows  bytes.Buffer // the expected ones
}

func openCSV(path string, in content) (*csvFile, error) {
	lines, err := openLines(path, in)
	if err != nil {
		return nil, err
	}
	c := &csvFile{linesFile: *lines}
	header, err := c.row()
	if errors.Is(err, io.EOF) {
		return c, nil
	}
	if err == nil {
		// The reader drops the CR of a CRLF, even within quotes.
		c.names, err = csv.NewReader(strings.NewReader(strings.ReplaceAll(header, "\r\n", "\r\r\n"))).Read()
	}
	if err == nil {
		c.table, err = tabular.NewWriter(&c.rows, tabular.CSV, tabular.Known(c.names))
	}
	if err != nil {
		return nil, fmt.Errorf("%s: the names of the columns cannot be read: %w", path, err)
	}
	c.offset = int64(len(header))
	if c.rows.String() != header {
		return nil, fmt.Errorf("%s: the names of the columns are not as chunkline writes them", path)
	}
	return c, nil
}

// longestRow bounds what a damaged quote can make row read. An object of the largest size is shorter.
const longestRow = 4 * chunk.MaxObject

var errRow = errors.New("a quote is not closed")

// row reads one row, with its line feed. Line feeds within quotes belong to the row.
func (c *csvFile) row() (string, error) {
	var row []byte
	for quotes := 0; len(row) < longestRow; {
		line, err := c.reader.ReadBytes('\n')
		row = append(row, line...)
		quotes += bytes.Count(line, []byte{'"'})
		if errors.Is(err, io.EOF) && len(row) > 0 {
			err = io.ErrUnexpectedEOF
		}
		if err != nil || quotes%2 == 0 {
			return string(row), err
		}
	}
	return "", errRow
}

func (c *csvFile) expect(r *Report, lines []byte) {
	c.rows.Reset()
	for _, line := range chunk.Objects(lines) {
		if c.table == nil {
			c.fail(r, "the file is empty, and the chunks have outputs")
			return
		}
		if err := c.table.Row(line); err != nil {
			c.fail(r, "%v", err)
			return
		}
	}
	c.linesFile.expect(r, c.rows.Bytes())
}

func (c *csvFile) skip(r *Report, _ int64, rows uint64) {
	for ; rows > 0 && !c.differ; rows-- {
		row, err := c.row()
		switch {
		case isEnd(err):
			c.fail(r, "ends after byte %d, before the last chunk does", c.offset)
		case err != nil:
			c.fail(r, "cannot be read after byte %d: %v", c.offset, err)
		}
		c.offset += int64(len(row))
	}
}

// parquetFile is a Parquet file. Its rows are read as objects, and the values are compared.
type parquetFile struct {
	comparison

	file    content
	rows    *source.ParquetRows
	next    uint64 // number of the next row
	columns map[string][]byte

	object, row tabular.Object
}

func openParquet(path string, in content, size int64) (*parquetFile, error) {
	rows, err := source.OpenParquetRows(in, size)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &parquetFile{comparison: comparison{path: path}, file: in, rows: rows, columns: map[string][]byte{}}, nil
}

func (p *parquetFile) close() { _, _ = p.rows.Close(), p.file.Close() } // they were only read

func (p *parquetFile) expect(r *Report, lines []byte) {
	for _, line := range chunk.Objects(lines) {
		if p.differ {
			return
		}
		row, err := p.rows.Next()
		p.next++
		switch {
		case errors.Is(err, io.EOF):
			p.fail(r, "has only %d rows, and the chunks have more outputs", p.next-1)
		case err != nil:
			p.fail(r, "cannot be read after row %d: %v", p.next-1, err)
		default:
			p.compare(r, row, line)
		}
	}
}

// compare compares a row with an object. The row may have more keys, which are null.
func (p *parquetFile) compare(r *Report, row, object []byte) {
	if err := errors.Join(p.row.Parse(row), p.object.Parse(object)); err != nil {
		p.fail(r, "row %d: %v", p.next, err)
		return
	}
	clear(p.columns)
	for _, m := range p.row {
		p.columns[string(m.Key)] = m.Value
	}
	for _, m := range p.object {
		value, there := p.columns[string(m.Key)]
		if !there || !tabular.SameValue(value, m.Value) {
			p.fail(r, "row %d differs from the chunks in the column %q", p.next, m.Key)
			return
		}
		delete(p.columns, string(m.Key))
	}
	for name, value := range p.columns {
		if string(value) != "null" {
			p.fail(r, "row %d differs from the chunks in the column %q", p.next, name)
			return
		}
	}
}

func (p *parquetFile) skip(r *Report, _ int64, rows uint64) {
	for ; rows > 0 && !p.differ; rows-- {
		switch _, err := p.rows.Next(); {
		case errors.Is(err, io.EOF):
			p.fail(r, "ends after row %d, before the last chunk does", p.next)
		case err != nil:
			p.fail(r, "cannot be read after row %d: %v", p.next, err)
		}
		p.next++
	}
}

func (p *parquetFile) end(r *Report) {
	if p.differ {
		return
	}
	_, err := p.rows.Next()
	switch {
	case err == nil:
		p.fail(r, "continues after row %d, where the last chunk ends", p.next)
	case !errors.Is(err, io.EOF):
		p.fail(r, "cannot be read to its end: %v", err)
	}
}

// checkSum compares the checksum of an ordered file with the one that the folder's log has. In a Parquet file not every
// byte belongs to a row: programs rely on statistics, too.
func checkSum(r *Report, folder *sink.Folder) error {
	merged, err := folder.OpenOutput(false)
	if err != nil {
		r.problem("%v", err)
		return nil
	}
	defer func() { _ = merged.Close() }() // it was only read
	sum := xxhash.New()
	if _, err := io.Copy(sum, io.NewSectionReader(merged, 0, merged.Bytes)); err != nil {
		return fmt.Errorf("read output file: %w", err)
	}
	if sum.Sum64() != merged.Sum {
		r.problem("%s: its checksum is not the one that it was written with", folder.Summary().Output)
	}
	return nil
}
