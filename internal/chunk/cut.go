package chunk

import (
	"io"
	"slices"
)

// A Cutter groups objects into chunks. A chunk ends when it holds Plan.Size
// objects, or before the object that would take its body over Plan.Bytes; an
// object larger than that is a chunk of its own. The same objects always give
// the same chunks.
type Cutter struct {
	plan  Plan
	next  func() (Object, error)
	id    ID
	first uint64

	held    Object // the object that did not fit into the last chunk
	holding bool
	err     error // what next ended with; sticky
	body    int   // bytes of the last body: the guess for the next one
}

// NewCutter returns a cutter of the objects that next returns until it returns
// an error, io.EOF at the end. The bytes of an object need to last only until
// the following call. The first chunk is named id and begins with ordinal
// first.
func NewCutter(p Plan, id ID, first uint64, next func() (Object, error)) *Cutter {
	return &Cutter{plan: p, id: id, first: first, next: next}
}

// Next returns the next chunk and the place of its first object. Behind the
// last chunk it returns io.EOF. After any other error of the objects it returns
// that error: an unfinished chunk is never returned. The body is the caller's.
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
		chunk.Body = slices.Clone(chunk.Body) // a body may wait for hours
	}
	return chunk, at, nil
}

// pull makes c.held the next object; false: there is none.
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

// room returns how many bytes to set aside for a body whose first object takes
// size bytes: as many as the last body had and a little more.
func (c *Cutter) room(size int) int {
	guess := c.body + c.body/16
	if c.body == 0 {
		guess = min(size*c.plan.Size, c.plan.Bytes, 64<<10)
	}
	return max(guess, size)
}
