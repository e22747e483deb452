package chunk

import (
	"io"
	"slices"
)

// A Cutter groups objects into chunks. A chunk ends when it holds Plan.Size objects, or before the object that would
// make its body larger than Plan.Bytes. A single larger object is a chunk of its own.
type Cutter struct {
	plan  Plan
	next  func() (Object, error)
	id    ID
	first uint64

	held    Object // the object that did not fit into the last chunk
	holding bool
	err     error // the error that ended next; sticky
	body    int   // bytes of the last body, an estimate for the next one
}

// NewCutter returns a Cutter for the objects that next returns until it returns an error, io.EOF at the end. The bytes
// of an object must stay valid until the following call. The first chunk has the given id, and its first object the
// ordinal first.
func NewCutter(p Plan, id ID, first uint64, next func() (Object, error)) *Cutter {
	return &Cutter{plan: p, id: id, first: first, next: next}
}

// Next returns the next chunk and the place of its first object, and io.EOF after the last chunk. If next fails with
// another error, Next returns that error and never an unfinished chunk. The caller owns the body.
func (c *Cutter) Next() (Chunk, Place, error) {
	chunk := Chunk{ID: c.id, First: c.first}
	var at Place
	for chunk.Count < c.plan.Size && c.pull() {
		size := len(c.held.Bytes) + 1
		if chunk.Count == 0 {
			at = c.held.Place
			chunk.Body = make([]byte, 0, c.room(size))
		} else if len(chunk.Body)+size > c.plan.Bytes {
			break
		}
		if c.held.Flaw != "" {
			chunk.Bad = append(chunk.Bad, Flaw{Index: chunk.Count, Reason: c.held.Flaw})
		}
		chunk.Body = append(append(chunk.Body, c.held.Bytes...), '\n')
		chunk.Count++
		c.holding = false
	}
	//nolint:errorlint // an error that wraps io.EOF is not the end
	if chunk.Count == 0 || c.err != nil && c.err != io.EOF {
		return Chunk{}, Place{}, c.err
	}
	c.id++
	c.first += uint64(chunk.Count)
	c.body = len(chunk.Body)
	if spare := cap(chunk.Body) - len(chunk.Body); spare > len(chunk.Body)/4+4<<10 {
		chunk.Body = slices.Clone(chunk.Body) // a body may stay in memory for hours
	}
	return chunk, at, nil
}

// pull puts the next object into c.held and returns false if there is none.
func (c *Cutter) pull() bool {
	if c.holding {
		return true
	}
	if c.err == nil {
		c.held, c.err = c.next()
	}
	c.holding = c.err == nil
	return c.holding
}

// room returns the capacity for a body whose first object takes size bytes: the size of the last body and a little
// more.
func (c *Cutter) room(size int) int {
	guess := c.body + c.body/16
	if c.body == 0 {
		guess = min(size*c.plan.Size, c.plan.Bytes, 64<<10)
	}
	return max(guess, size)
}
