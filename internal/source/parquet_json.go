package source

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"

	"github.com/chunkline/chunkline/internal/chunk"
)

// A column is a node of a Parquet schema: a leaf, which has values, or a group of
// columns. https://parquet.apache.org/docs/file-format/nestedencoding/ describes
// the levels.
type column struct {
	key        []byte // `"name":`
	shape      shape
	optional   bool
	repeated   bool
	definition int // the level from which on the column is there
	repetition int // the level of values that continue it
	leaf, end  int // the leaf columns below, or the column itself: leaf <= i < end
	children   []*column
	write      leafWriter // of a leaf
}

// shape is the JSON value that a column becomes.
type shape uint8

const (
	isLeaf    shape = iota
	isGroup         // an object with the names of the children
	isList          // an array: the only child is repeated, and so are its elements
	isMap           // an object: the only child is repeated, with key and value
	isElement       // of a list: what its only child is
)

// A leafWriter appends a value as JSON. problem says why JSON has no such value;
// nothing is appended then.
type leafWriter func(dst []byte, v parquet.Value) (_ []byte, problem string)

// columnsOf returns the columns of a schema and the number of leaves.
func columnsOf(root *parquet.Column) (*column, int, error) {
	c, leaves, err := newColumn(root, 0)
	if err != nil {
		return nil, 0, err
	}
	c.optional, c.repeated, c.shape = false, false, isGroup
	return c, leaves, nil
}

// newColumn returns a column whose first leaf has the index leaf, and the index
// after its last leaf.
func newColumn(in *parquet.Column, leaf int) (*column, int, error) {
	c := &column{
		key: append(chunk.AppendText(nil, []byte(in.Name())), ':'), optional: in.Optional(), repeated: in.Repeated(),
		definition: in.MaxDefinitionLevel(), repetition: in.MaxRepetitionLevel(), leaf: leaf,
	}
	name := strings.Join(in.Path(), ".")
	if in.Leaf() {
		c.end = leaf + 1
		write, err := writerOf(in.Type())
		if err != nil {
			return nil, 0, fmt.Errorf("%w: column %q: %w", errParquet, name, err)
		}
		c.write = func(dst []byte, v parquet.Value) ([]byte, string) {
			written, problem := write(dst, v)
			if problem != "" {
				return writeRaw(dst, v), fmt.Sprintf("column %q: %s", name, problem)
			}
			return written, ""
		}
		return c, c.end, nil
	}
	for _, child := range in.Columns() {
		below, end, err := newColumn(child, leaf)
		if err != nil {
			return nil, 0, err
		}
		c.children, leaf = append(c.children, below), end
	}
	if c.end = leaf; c.leaf == c.end {
		return nil, 0, fmt.Errorf("%w: the group %q has no columns", errParquet, name)
	}
	logical := in.Type().LogicalType()
	if c.shape = isGroup; logical == nil {
		return c, c.end, nil
	}
	switch logical.Value.(type) {
	case *format.VariantType:
		return nil, 0, fmt.Errorf("%w: column %q is a VARIANT", errParquet, name)
	case *format.ListType:
		if len(c.children) == 1 && c.children[0].repeated {
			c.shape = isList
			c.children[0].unwrap(in)
		}
	case *format.MapType:
		entry := c.children[0]
		if len(c.children) == 1 && entry.repeated && entry.shape == isGroup && len(entry.children) <= 2 && entry.children[0].shape == isLeaf {
			c.shape = isMap
		}
	}
	return c, c.end, nil
}

// unwrap makes the repeated child of a LIST stand for its only field if that is the
// element. Old writers made the repeated group itself the element; the rules are
// those of "backward-compatibility" in the format's LogicalTypes.md.
func (c *column) unwrap(list *parquet.Column) {
	name := list.Columns()[0].Name()
	if c.shape != isGroup || len(c.children) != 1 || c.children[0].repeated || name == "array" || name == list.Name()+"_tuple" {
		return
	}
	c.shape = isElement
}

// An objectWriter writes one row. It panics if a column lacks values.
type objectWriter struct {
	dst     []byte
	values  [][]parquet.Value // the values not written yet, by leaf column
	problem string            // the first one
}

// column writes a column, which may be null or repeated.
func (o *objectWriter) column(c *column) {
	switch {
	case c.repeated:
		o.list(c)
	case c.optional && o.absent(c):
		o.dst = append(o.dst, "null"...)
	default:
		o.content(c)
	}
}

// absent consumes the entry that stands for a missing column, if there is one.
func (o *objectWriter) absent(c *column) bool {
	if o.values[c.leaf][0].DefinitionLevel() >= c.definition {
		return false
	}
	for leaf := c.leaf; leaf < c.end; leaf++ {
		o.values[leaf] = o.values[leaf][1:]
	}
	return true
}

// more reports whether the next values continue a repeated column.
func (o *objectWriter) more(c *column) bool {
	rest := o.values[c.leaf]
	return len(rest) > 0 && rest[0].RepetitionLevel() == c.repetition
}

// content writes a column that is there, or one element of it.
func (o *objectWriter) content(c *column) {
	switch c.shape {
	case isLeaf:
		v := o.values[c.leaf][0]
		o.values[c.leaf] = o.values[c.leaf][1:]
		var problem string
		if o.dst, problem = c.write(o.dst, v); o.problem == "" {
			o.problem = problem
		}
	case isGroup:
		for i, child := range c.children {
			o.dst = append(append(o.dst, "{,"[min(i, 1)]), child.key...)
			o.column(child)
		}
		o.dst = append(o.dst, '}')
	case isElement:
		o.column(c.children[0])
	case isList:
		o.list(c.children[0])
	case isMap:
		o.mapping(c.children[0])
	}
}

// list writes a repeated column as an array.
func (o *objectWriter) list(c *column) {
	o.dst = append(o.dst, '[')
	if !o.absent(c) {
		o.content(c)
		for o.more(c) {
			o.dst = append(o.dst, ',')
			o.content(c)
		}
	}
	o.dst = append(o.dst, ']')
}

// mapping writes the repeated key and value of a MAP as an object.
func (o *objectWriter) mapping(c *column) {
	o.dst = append(o.dst, '{')
	if !o.absent(c) {
		o.entry(c)
		for o.more(c) {
			o.dst = append(o.dst, ',')
			o.entry(c)
		}
	}
	o.dst = append(o.dst, '}')
}

// entry writes one key and value. A key that is no string becomes one.
func (o *objectWriter) entry(c *column) {
	first := len(o.dst)
	o.column(c.children[0])
	if o.dst[first] != '"' {
		o.dst = chunk.AppendText(o.dst[:first], bytes.Clone(o.dst[first:]))
	}
	o.dst = append(o.dst, ':')
	if len(c.children) == 1 {
		o.dst = append(o.dst, "null"...)
	}
	for _, value := range c.children[1:] {
		o.column(value)
	}
}

// writerOf returns how values of a type are written.
func writerOf(t parquet.Type) (leafWriter, error) {
	if logical := t.LogicalType(); logical != nil {
		switch of := logical.Value.(type) {
		case *format.StringType, *format.EnumType:
			return writeText, nil
		case *format.JsonType:
			return writeJSON, nil
		case *format.DecimalType:
			if of.Scale < 0 || of.Scale > maxScale {
				return nil, fmt.Errorf("a decimal with the scale %d", of.Scale)
			}
			return func(dst []byte, v parquet.Value) ([]byte, string) { return writeDecimal(dst, v, int(of.Scale)) }, nil
		case *format.DateType:
			return writeDate, nil
		case *format.TimeType:
			unit := of.Unit.Value.Duration()
			return func(dst []byte, v parquet.Value) ([]byte, string) { return writeTime(dst, v, unit) }, nil
		case *format.TimestampType:
			unit, layout := of.Unit.Value.Duration(), localTime
			if of.IsAdjustedToUTC {
				layout = time.RFC3339Nano
			}
			return func(dst []byte, v parquet.Value) ([]byte, string) {
				perSecond := int64(time.Second / unit)
				n := number(v)
				seconds, rest := n/perSecond, n%perSecond
				return writeTimestamp(dst, time.Unix(seconds, rest*int64(unit)), layout)
			}, nil
		case *format.IntType:
			if !of.IsSigned {
				return writeUnsigned, nil
			}
		case *format.UUIDType:
			return writeUUID, nil
		case *format.Float16Type:
			return writeFloat16, nil
		}
	}
	return writePlain, nil
}

const (
	maxScale     = 1000 // of a decimal; the writers we know stop at 76 digits
	maxDecimal   = 1000 // bytes of a decimal
	localTime    = "2006-01-02T15:04:05.999999999"
	unixEpochDay = 2_440_588 // of 1970-01-01 in the Julian days of INT96
)

// writePlain writes a value of a type that means nothing more than its bytes.
func writePlain(dst []byte, v parquet.Value) ([]byte, string) {
	switch v.Kind() {
	case parquet.Boolean:
		return strconv.AppendBool(dst, v.Boolean()), ""
	case parquet.Int32, parquet.Int64:
		return strconv.AppendInt(dst, number(v), 10), ""
	case parquet.Int96: // a timestamp of Impala, Hive and Spark: nanoseconds of a day, and the day
		parts := v.Int96()
		nanoseconds, day := int64(parts[1])<<32|int64(parts[0]), int64(int32(parts[2]))
		return writeTimestamp(dst, time.Unix((day-unixEpochDay)*secondsOfDay, nanoseconds), time.RFC3339Nano)
	case parquet.Float:
		return appendFloat(dst, float64(v.Float()), 32), ""
	case parquet.Double:
		return appendFloat(dst, v.Double(), 64), ""
	case parquet.ByteArray, parquet.FixedLenByteArray:
		return writeRaw(dst, v), ""
	}
	return append(dst, "null"...), "" // the kind of null
}

// writeRaw writes a value without its meaning: an integer, or bytes in base64. A dead
// letter holds it.
func writeRaw(dst []byte, v parquet.Value) []byte {
	if kind := v.Kind(); kind == parquet.Int32 || kind == parquet.Int64 {
		return strconv.AppendInt(dst, number(v), 10)
	}
	return append(base64.StdEncoding.AppendEncode(append(dst, '"'), v.Bytes()), '"')
}

const secondsOfDay = 24 * 60 * 60

// number returns the value of an INT32 or INT64.
func number(v parquet.Value) int64 {
	if v.Kind() == parquet.Int32 {
		return int64(v.Int32())
	}
	return v.Int64()
}

func writeUnsigned(dst []byte, v parquet.Value) ([]byte, string) {
	if v.Kind() == parquet.Int32 {
		return strconv.AppendUint(dst, uint64(v.Uint32()), 10), ""
	}
	return strconv.AppendUint(dst, v.Uint64(), 10), ""
}

func writeText(dst []byte, v parquet.Value) ([]byte, string) {
	return chunk.AppendText(dst, v.ByteArray()), ""
}

// writeJSON writes JSON as it is, on one line.
func writeJSON(dst []byte, v parquet.Value) ([]byte, string) {
	text := v.ByteArray()
	if !json.Valid(text) {
		return dst, "not valid JSON"
	}
	first := len(dst)
	dst = append(dst, text...)
	for i, c := range dst[first:] {
		if c == '\n' || c == '\r' {
			dst[first+i] = ' '
		}
	}
	return dst, ""
}

// writeDecimal writes all digits of a decimal, also zeros at its end.
func writeDecimal(dst []byte, v parquet.Value, scale int) ([]byte, string) {
	n := new(big.Int)
	if kind := v.Kind(); kind == parquet.Int32 || kind == parquet.Int64 {
		n.SetInt64(number(v))
	} else { // two's complement, most significant byte first
		b := v.ByteArray()
		if len(b) > maxDecimal {
			return dst, fmt.Sprintf("a decimal of %d bytes", len(b))
		}
		n.SetBytes(b)
		if len(b) > 0 && b[0] >= 0x80 {
			n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
		}
	}
	if n.Sign() < 0 {
		dst = append(dst, '-')
	}
	digits := n.Abs(n).String()
	if missing := scale + 1 - len(digits); missing > 0 {
		digits = strings.Repeat("0", missing) + digits
	}
	point := len(digits) - scale
	dst = append(dst, digits[:point]...)
	if scale > 0 {
		dst = append(append(dst, '.'), digits[point:]...)
	}
	return dst, ""
}

func writeDate(dst []byte, v parquet.Value) ([]byte, string) {
	return writeTimestamp(dst, time.Unix(number(v)*secondsOfDay, 0), time.DateOnly)
}

// writeTimestamp writes a time in UTC. Years have four digits in RFC 3339.
func writeTimestamp(dst []byte, t time.Time, layout string) ([]byte, string) {
	t = t.UTC()
	if year := t.Year(); year < 0 || year > 9999 {
		return dst, fmt.Sprintf("a time in the year %d", year)
	}
	return append(t.AppendFormat(append(dst, '"'), layout), '"'), ""
}

func writeTime(dst []byte, v parquet.Value, unit time.Duration) ([]byte, string) {
	n := number(v)
	if n < 0 || n >= int64(secondsOfDay*time.Second/unit) {
		return dst, fmt.Sprintf("a time of day of %d × %s", n, unit)
	}
	return append(time.Unix(0, n*int64(unit)).UTC().AppendFormat(append(dst, '"'), "15:04:05.999999999"), '"'), ""
}

func writeUUID(dst []byte, v parquet.Value) ([]byte, string) {
	b := v.ByteArray()
	if len(b) != 16 {
		return dst, fmt.Sprintf("a UUID of %d bytes", len(b))
	}
	dst = append(dst, '"')
	for i, part := range [][]byte{b[:4], b[4:6], b[6:8], b[8:10], b[10:]} {
		if i > 0 {
			dst = append(dst, '-')
		}
		dst = hex.AppendEncode(dst, part)
	}
	return append(dst, '"'), ""
}

// writeFloat16 writes an IEEE 754 half-precision number.
func writeFloat16(dst []byte, v parquet.Value) ([]byte, string) {
	b := v.ByteArray()
	if len(b) != 2 {
		return dst, fmt.Sprintf("a FLOAT16 of %d bytes", len(b))
	}
	bits := binary.LittleEndian.Uint16(b)
	exponent, fraction := int(bits>>10&0x1f), float64(bits&0x3ff)
	var f float64
	switch {
	case exponent == 0x1f && fraction != 0:
		f = math.NaN()
	case exponent == 0x1f:
		f = math.Inf(1)
	case exponent == 0:
		f = math.Ldexp(fraction, -24)
	default:
		f = math.Ldexp(fraction+1024, exponent-25)
	}
	if bits&0x8000 != 0 {
		f = math.Copysign(f, -1)
	}
	return appendFloat(dst, f, 32), ""
}

// appendFloat appends a number with as few digits as identify it. JSON has no NaN
// and no infinity: they are strings, as in the JSON of Protocol Buffers.
func appendFloat(dst []byte, f float64, bits int) []byte {
	switch {
	case math.IsNaN(f):
		return append(dst, `"NaN"`...)
	case math.IsInf(f, 1):
		return append(dst, `"Infinity"`...)
	case math.IsInf(f, -1):
		return append(dst, `"-Infinity"`...)
	}
	form := byte('f')
	if size := math.Abs(f); size != 0 && (size < 1e-6 || size >= 1e21) {
		form = 'e'
	}
	return strconv.AppendFloat(dst, f, form, -1, bits)
}
