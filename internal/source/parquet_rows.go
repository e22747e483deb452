package source

import (
	"errors"
	"io"
)

// ParquetRows reads the rows of a Parquet file as objects, for a program that compares them with the expected objects.
type ParquetRows struct{ in *parquetReader }

// OpenParquetRows reads the footer of a file of this many bytes.
func OpenParquetRows(file io.ReaderAt, bytes int64) (*ParquetRows, error) {
	in, err := newParquetReader(file, bytes)
	if err != nil {
		return nil, err
	}
	return &ParquetRows{in}, nil
}

// Next returns the object of the next row, which is valid until the next call, or io.EOF.
func (p *ParquetRows) Next() ([]byte, error) {
	object, err := p.in.Next()
	if err != nil {
		return nil, err
	}
	if object.Flaw != "" {
		return nil, errors.New(object.Flaw)
	}
	return object.Bytes, nil
}

// Close releases the resources of the rows. It does not close the file.
func (p *ParquetRows) Close() error { return p.in.Close() }
