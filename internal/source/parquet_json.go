package source

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"

	"github.com/chunkline/chunkline/internal/chunk"
)

// A column is a node of a Parquet schema: a leaf, which has values, or a group of columns.
// https://parquet.apache.org/docs/file-format/nestedencoding/ describes the levels.
type column struct {
	key        []byte // `"name":`
	shape      shape
	optional   bool
	repeated   bool
	definition int // the column is present from this level on
	repetition int // the level of values that continue the column
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
	isMap           // an object: the only child is repeated and has key and value
	isElement       // element of a list: the value of its only child
)

// newColumn returns a column whose first leaf has the index leaf, and the index after its last leaf.
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
	if c.end = leaf; c.leaf == c.end && len(in.Path()) > 0 { // the root may have none: a table without rows
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

// unwrap replaces the repeated child of a LIST by its only field if that field is the element. Old writers made the
// repeated group itself the element; the rules are those of "backward-compatibility" in the format's LogicalTypes.md.
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
	problem string            // the first problem
}

// column writes a column, which may be null or repeated.
func (o *objectWriter) column(c *column) {
	switch {
	case c.repeated:
		o.repeated(c, "[]", o.content)
	case c.optional && o.absent(c):
		o.dst = append(o.dst, "null"...)
	default:
		o.content(c)
	}
}

// absent reports whether a column is missing, and consumes the entry that marks it.
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

// content writes a column that is present, or one element of it.
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
		o.repeated(c.children[0], "[]", o.content)
	case isMap:
		o.repeated(c.children[0], "{}", o.entry)
	}
}

// repeated writes the elements of a repeated column between brackets, each with one.
func (o *objectWriter) repeated(c *column, brackets string, one func(*column)) {
	o.dst = append(o.dst, brackets[0])
	if !o.absent(c) {
		one(c)
		for o.more(c) {
			o.dst = append(o.dst, ',')
			one(c)
		}
	}
	o.dst = append(o.dst, brackets[1])
}

// entry writes one key and value. A key that is not a string becomes one.
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
