package tabular

import (
	"errors"
	"fmt"
	"slices"
)

// MaxColumns is how many columns a table has at most. It bounds the memory, and more keys are usually data, such as a
// map from IDs.
const MaxColumns = 2000

// ErrNoTable means that objects do not make a table, although each could be a row.
var ErrNoTable = errors.New("the outputs make no table")

// kind is a set of kinds of values.
type kind uint8

const (
	isNull kind = 1 << iota
	isBool
	isNumber
	isString
	isNested // an array or an object
)

// kindOf returns the kind of a JSON value.
func kindOf(value []byte) kind {
	switch value[0] {
	case 'n':
		return isNull
	case 't', 'f':
		return isBool
	case '"':
		return isString
	case '[', '{':
		return isNested
	}
	return isNumber
}

// A column is a key, and what its values have in common.
type column struct {
	name     string
	kinds    kind // of its values
	noInt    bool // a number that INT64 does not hold exactly
	noFloat  bool // a number that DOUBLE does not hold exactly
	halfPair bool // a string that STRING cannot hold
	longest  int  // bytes of a value, in JSON
}

// Columns are the columns of a table.
type Columns struct {
	list    []column
	index   map[string]int // of each column
	chosen  bool           // other keys than these are left out
	objects uint64         // that were added
	object  Object         // the last one
}

// NewColumns returns the columns of the objects that Add will see: those that are chosen, in that order, or all keys if
// none are chosen.
func NewColumns(chosen []string) *Columns {
	c := &Columns{index: map[string]int{}}
	for _, name := range chosen {
		c.append(name)
	}
	c.chosen = len(chosen) > 0
	return c
}

// Known returns columns that are known: no object may have another key.
func Known(names []string) *Columns {
	c := NewColumns(names)
	c.chosen = false
	return c
}

func (c *Columns) append(name string) {
	c.index[name] = len(c.list)
	c.list = append(c.list, column{name: name})
}

// Add adds the keys and the values of an object. The error is an ErrNoRow or an ErrNoTable.
func (c *Columns) Add(line []byte) error {
	if err := c.object.Parse(line); err != nil {
		return err
	}
	c.objects++
	for _, m := range c.object {
		i, known := c.index[string(m.Key)]
		if !known {
			if c.chosen {
				continue
			}
			if i = len(c.list); i == MaxColumns {
				return fmt.Errorf("%w: they have more than %d different keys, as %q", ErrNoTable, MaxColumns, m.Key)
			}
			c.append(string(m.Key))
		}
		c.list[i].add(m.Value)
	}
	return nil
}

func (c *column) add(value []byte) {
	kind := kindOf(value)
	c.kinds |= kind
	c.longest = max(c.longest, len(value))
	switch kind {
	case isNumber:
		c.noInt = c.noInt || !isInt64(value)
		c.noFloat = c.noFloat || !isFloat64(value)
	case isString:
		c.halfPair = c.halfPair || halfPair(value)
	case isNull, isBool, isNested: // every value fits
	}
}

// Names returns the names of the columns.
func (c *Columns) Names() []string {
	names := make([]string, len(c.list))
	for i := range c.list {
		names[i] = c.list[i].name
	}
	return names
}

// arrange parses an object and sets the value of each column in values; nil: it has none. The error is an ErrNoRow, or
// says that a key is not a column.
func (c *Columns) arrange(values [][]byte, line []byte) error {
	if err := c.object.Parse(line); err != nil {
		return err
	}
	clear(values)
	for _, m := range c.object {
		switch i, known := c.index[string(m.Key)]; {
		case known:
			values[i] = m.Value
		case !c.chosen:
			return fmt.Errorf("%w: the key %q is not a column", ErrNoTable, m.Key)
		}
	}
	return nil
}

// CheckNames returns an error if names cannot be chosen as columns.
func CheckNames(names []string) error {
	if len(names) > MaxColumns {
		return fmt.Errorf("%d columns: use %d at most", len(names), MaxColumns)
	}
	for i, name := range names {
		if name == "" || slices.Contains(names[:i], name) {
			return fmt.Errorf("%q is empty or named twice: list each key once, with commas between", name)
		}
	}
	return nil
}
