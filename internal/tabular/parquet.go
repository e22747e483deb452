package tabular

import (
	"fmt"
	"io"
	"reflect"
	"strconv"

	"github.com/parquet-go/parquet-go"
)

const (
	// A row group ends at one of these. Its pages stay in memory until then.
	groupBytes = 32 << 20 // of the objects in JSON
	groupRows  = 128 << 10

	// pageBytes bounds the bytes of all pages that are not full yet. Each column has one.
	pageBytes = 8 << 20
	smallPage = 8 << 10 // least bytes of a page
	largePage = 256 << 10

	// dictionaryBytes bounds the dictionary of a column. A column with more different strings has none.
	dictionaryBytes = 1 << 20

	longText = 128 // bytes; see isLong

	batchRows = 128 // rows are passed to the library in batches
)

// A parquetWriter writes optional columns below the root.
type parquetWriter struct {
	w       *parquet.GenericWriter[any]
	columns *Columns
	values  [][]byte
	leaves  []leaf

	batch  []parquet.Row
	texts  []byte // decoded strings of the batch
	rows   int    // of the row group, with those of the batch
	weight int    // of the row group, in bytes of JSON

	groupRows, groupBytes int // where a row group ends
}

// A leaf makes the value of a column from JSON that is not null.
type leaf func(value []byte) (parquet.Value, error)

func newParquetWriter(w io.Writer, c *Columns) *parquetWriter {
	t := &parquetWriter{
		columns: c, values: make([][]byte, len(c.list)), leaves: make([]leaf, len(c.list)), groupRows: groupRows, groupBytes: groupBytes,
	}
	options := []parquet.WriterOption{
		parquet.Compression(&parquet.Snappy), parquet.PageBufferSize(min(max(pageBytes/max(1, len(c.list)), smallPage), largePage)),
		parquet.DictionaryMaxBytes(dictionaryBytes),
		parquet.DataPageVersion(1),        // not all programs read version 2
		parquet.DataPageStatistics(false), // the column index has them
	}
	root := rootNode{Group: parquet.Group{}}
	for i := range c.list {
		var node parquet.Node
		node, t.leaves[i] = t.typeOf(&c.list[i])
		root.fields = append(root.fields, field{parquet.Optional(node), c.list[i].name})
		if c.list[i].isLong() {
			options = append(options, parquet.SkipPageBounds(c.list[i].name))
		}
	}
	t.w = parquet.NewGenericWriter[any](w, append(options, parquet.NewSchema("outputs", root))...)
	return t
}

// typeOf returns the type of a column, and how its values are made. The package comment lists the types, and
// internal/source reads them as the same JSON.
func (t *parquetWriter) typeOf(c *column) (parquet.Node, leaf) {
	switch kinds := c.kinds &^ isNull; {
	case kinds == isBool:
		return plain(parquet.Leaf(parquet.BooleanType)), func(value []byte) (parquet.Value, error) {
			return parquet.BooleanValue(value[0] == 't'), nil
		}
	case kinds == isNumber && !c.noInt:
		return plain(parquet.Leaf(parquet.Int64Type)), func(value []byte) (parquet.Value, error) {
			n, err := strconv.ParseInt(string(value), 10, 64)
			return parquet.Int64Value(n), err
		}
	case kinds == isNumber && !c.noFloat:
		return plain(parquet.Leaf(parquet.DoubleType)), func(value []byte) (parquet.Value, error) {
			f, err := strconv.ParseFloat(string(value), 64)
			return parquet.DoubleValue(f), err
		}
	case kinds == isString && !c.halfPair, kinds == 0:
		node := parquet.Encoded(parquet.String(), &parquet.RLEDictionary)
		if c.isLong() {
			node = plain(parquet.Leaf(unbounded{node.Type()}))
		}
		return node, func(value []byte) (parquet.Value, error) {
			decoded, _ := text(value)
			return t.bytes(decoded), nil
		}
	}
	node := parquet.JSON()
	if c.isLong() {
		node = parquet.Leaf(unbounded{node.Type()})
	}
	return plain(node), func(value []byte) (parquet.Value, error) { return t.bytes(value), nil }
}

// isLong reports whether the values of a column are so long that the file should not record the smallest and the
// largest of each row group, because these would stay in memory until the end of the file.
func (c *column) isLong() bool { return c.longest > longText }

// unbounded is a type of text whose columns have wide bounds in the column index. Without them the library would record
// that all values are empty, and programs would skip pages that they must read.
type unbounded struct{ parquet.Type }

// NewColumnIndexer implements parquet.Type.
func (u unbounded) NewColumnIndexer(size int) parquet.ColumnIndexer {
	return wideIndexer{u.Type.NewColumnIndexer(size)}
}

type wideIndexer struct{ parquet.ColumnIndexer }

// IndexPage implements parquet.ColumnIndexer. No text in UTF-8 is greater than the byte 0xff.
func (w wideIndexer) IndexPage(values, nulls int64, _, _ parquet.Value) {
	w.ColumnIndexer.IndexPage(values, nulls, parquet.ByteArrayValue(nil), parquet.ByteArrayValue([]byte{0xff}))
}

func plain(node parquet.Node) parquet.Node { return parquet.Encoded(node, &parquet.Plain) }

// bytes returns a value that stays valid until the batch is written.
func (t *parquetWriter) bytes(text []byte) parquet.Value {
	from := len(t.texts)
	t.texts = append(t.texts, text...)
	return parquet.ByteArrayValue(t.texts[from:len(t.texts):len(t.texts)])
}

// Row implements Writer.
func (t *parquetWriter) Row(line []byte) error {
	if err := t.columns.arrange(t.values, line); err != nil {
		return err
	}
	if len(t.batch) == cap(t.batch) {
		t.batch = append(t.batch, make(parquet.Row, 0, len(t.values)))
	} else {
		t.batch = t.batch[:len(t.batch)+1]
	}
	last := &t.batch[len(t.batch)-1]
	*last = (*last)[:0]
	for i, value := range t.values {
		if value == nil || value[0] == 'n' {
			*last = append(*last, parquet.NullValue().Level(0, 0, i))
			continue
		}
		v, err := t.leaves[i](value)
		if err != nil {
			return fmt.Errorf("column %q: %w", t.columns.list[i].name, err)
		}
		*last = append(*last, v.Level(0, 1, i))
	}
	t.rows++
	t.weight += len(line)
	switch {
	case t.rows >= t.groupRows || t.weight >= t.groupBytes:
		return t.Flush()
	case len(t.batch) == batchRows || len(t.texts) > largePage:
		return t.writeBatch()
	}
	return nil
}

func (t *parquetWriter) writeBatch() error {
	_, err := t.w.WriteRows(t.batch)
	t.batch, t.texts = t.batch[:0], t.texts[:0]
	return err
}

// Flush implements Writer.
func (t *parquetWriter) Flush() error {
	if err := t.writeBatch(); err != nil {
		return err
	}
	t.rows, t.weight = 0, 0
	return t.w.Flush()
}

// Close implements Writer.
func (t *parquetWriter) Close() error {
	if err := t.writeBatch(); err != nil {
		return err
	}
	return t.w.Close()
}

// rootNode is a group whose fields keep their order; the library's own sorts them by name.
type rootNode struct {
	parquet.Group
	fields []parquet.Field
}

// Fields implements parquet.Node.
func (r rootNode) Fields() []parquet.Field { return r.fields }

// field is a column below the root.
type field struct {
	parquet.Node
	name string
}

// Name implements parquet.Field.
func (f field) Name() string { return f.name }

// Value implements parquet.Field. The library calls it for rows that are Go values, of which there are none here.
func (field) Value(base reflect.Value) reflect.Value { return base }
