package sink

import (
	"fmt"
	"reflect"

	"github.com/chunkline/chunkline/internal/chunk"
)

// Outcomes returns the outcome of each result of a group, in order, and the claims after the results that are
// Committed. record reads the record of a committed piece.
func (c *Claims) Outcomes(results []Result, t *Table, record func(Placed) (Record, error)) ([]Outcome, *Claims, error) {
	outcomes := make([]Outcome, len(results))
	last := make(map[chunk.ID]int, len(results)) // the last result of a chunk that is to be committed
	for i := range results {
		r := &results[i]
		there, err := t.compare(r, record)
		if err != nil {
			return nil, nil, err
		}
		if end, grouped := last[r.Chunk]; grouped {
			for n := range results[:end+1] {
				if outcomes[n] == Committed {
					there.addResult(r, &results[n])
				}
			}
		}
		if outcomes[i] = c.Outcome(r, there); outcomes[i] == Committed {
			c = c.Bind(r)
			last[r.Chunk] = i
		}
	}
	return outcomes, c, nil
}

// Outcome returns the outcome of a result.
func (c *Claims) Outcome(r *Result, there Comparison) Outcome {
	switch {
	case there.Conflict:
		return Conflict
	case there.objects == r.Objects:
		return Duplicate
	case there.objects > 0:
		return Overlap
	case r.Term < c.Terms[r.Version]:
		return TooLate
	case c.mixes(r):
		return OtherTransform
	}
	return Committed
}

// A Comparison compares a result with pieces that are committed, or will be.
type Comparison struct {
	Conflict bool // they were made from other objects
	objects  int  // of the result, that they have
}

// Add compares with a piece of the same chunk, whose first object has the ordinal begins.
func (c *Comparison) Add(r *Result, there Entry, begins uint64) {
	c.Conflict = c.Conflict || there.Of != r.Of || there.Digest != r.Digest || begins != r.begins()
	c.objects += max(0, min(there.From+there.Objects, r.From+r.Objects)-max(there.From, r.From))
}

// addResult compares with another result of the group.
func (c *Comparison) addResult(r, there *Result) {
	if there.Chunk == r.Chunk {
		c.Add(r, there.Entry(), there.begins())
	}
}

// compare compares a result with the committed pieces of its chunk. All of them agree on the chunk's ordinals, so it
// reads one record.
func (t *Table) compare(r *Result, record func(Placed) (Record, error)) (c Comparison, err error) {
	begins, known := uint64(0), false
	for p := range t.Pieces(r.Chunk) {
		if !known {
			there, err := record(p)
			if err != nil {
				return c, err
			}
			begins, known = there.begins(), true
		}
		c.Add(r, p.Entry, begins)
	}
	return c, nil
}

// begins returns the ordinal of the chunk's first object.
func (r *Result) begins() uint64 { return r.First - uint64(r.From) }
func (r *Record) begins() uint64 { return r.First - uint64(r.From) }

// Replace returns the claims after results have replaced the committed result of a piece, or an error if they may not.
// The results must have the objects of the piece, in order. old is the record that they were made from, and there is
// the one that is committed; nil means that the piece is not committed.
func (c *Claims) Replace(there, old *Record, results []Result) (*Claims, error) {
	switch {
	case there == nil:
		return nil, fmt.Errorf("replace chunk %d: %w: %w", old.Chunk, ErrNoChunk, ErrChanged)
	case !reflect.DeepEqual(there, old):
		return nil, fmt.Errorf("replace chunk %d: %w", old.Chunk, ErrChanged)
	}
	at := 0 // index in the piece
	for i := range results {
		r := &results[i]
		switch {
		case old.Chunk != r.Chunk || old.Digest != r.Digest || old.From+at != r.From || old.First+uint64(at) != r.First || old.Of != r.Of:
			return nil, fmt.Errorf("replace chunk %d: %w", old.Chunk, ErrConflict)
		case c.mixes(r):
			return nil, fmt.Errorf("replace chunk %d: version %q did something else: %w", old.Chunk, r.Version, ErrConflict)
		}
		c = c.Bind(r)
		at += r.Objects
	}
	if at != old.Objects {
		return nil, fmt.Errorf("replace chunk %d: %w", old.Chunk, ErrConflict)
	}
	return c, nil
}
