package sink

import (
	"fmt"

	"github.com/chunkline/chunkline/internal/chunk"
)

// Judge returns the outcome of each result of a group, in order, and the claims after the results that are Committed.
// record reads the record of a committed piece.
func (c *Claims) Judge(results []Result, t *Table, record func(Placed) (Record, error)) ([]Outcome, *Claims, error) {
	outcomes := make([]Outcome, len(results))
	last := make(map[chunk.ID]int, len(results)) // the last result of a chunk that is to be committed
	for i := range results {
		r := &results[i]
		met, err := t.meet(r, record)
		if err != nil {
			return nil, nil, err
		}
		if end, grouped := last[r.Chunk]; grouped {
			for n := range results[:end+1] {
				if outcomes[n] == Committed {
					met.meetResult(r, &results[n])
				}
			}
		}
		switch {
		case met.conflict:
			outcomes[i] = Conflict
		case met.objects == r.Objects:
			outcomes[i] = Duplicate
		case met.objects > 0:
			outcomes[i] = Overlap
		case r.Term < c.Terms[r.Version]:
			outcomes[i] = TooLate
		case c.mixes(r):
			outcomes[i] = OtherTransform
		default:
			c = c.Bind(r)
			last[r.Chunk] = i
			outcomes[i] = Committed
		}
	}
	return outcomes, c, nil
}

// A meeting compares a result with the committed pieces of its chunk.
type meeting struct {
	objects  int  // objects of the result that are committed
	conflict bool // the chunk was made from other objects
}

// meet compares a result with the committed pieces of its chunk.
func (t *Table) meet(r *Result, record func(Placed) (Record, error)) (met meeting, err error) {
	known := false // whether the chunk's ordinals are known: all its pieces agree on them
	for p := range t.Pieces(r.Chunk) {
		if met.meet(r, p.Entry); met.conflict {
			break
		}
		if known {
			continue
		}
		there, err := record(p)
		if err != nil {
			return met, err
		}
		known, met.conflict = true, there.begins() != r.begins()
	}
	return met, nil
}

func (m *meeting) meet(r *Result, there Entry) {
	m.conflict = m.conflict || there.Of != r.Of || there.Digest != r.Digest
	m.objects += max(0, min(there.From+there.Objects, r.From+r.Objects)-max(there.From, r.From))
}

// meetResult compares a result with another result of its group.
func (m *meeting) meetResult(r, there *Result) {
	if there.Chunk == r.Chunk {
		m.meet(r, Entry{From: there.From, Objects: there.Objects, Of: there.Of, Digest: there.Digest})
		m.conflict = m.conflict || there.begins() != r.begins()
	}
}

// begins returns the ordinal of the chunk's first object.
func (r *Result) begins() uint64 { return r.First - uint64(r.From) }
func (r *Record) begins() uint64 { return r.First - uint64(r.From) }

// CheckReplace returns an error if a result may not replace the committed result of its piece, old. nil means that the piece
// is not committed.
func (c *Claims) CheckReplace(old *Record, r *Result) error {
	switch {
	case old == nil:
		return fmt.Errorf("replace chunk %d: %w", r.Chunk, ErrNoChunk)
	case old.Digest != r.Digest || old.First != r.First || old.Objects != r.Objects || old.Of != r.Of:
		return fmt.Errorf("replace chunk %d: %w", r.Chunk, ErrConflict)
	case c.mixes(r):
		return fmt.Errorf("replace chunk %d: version %q did something else: %w", r.Chunk, r.Version, ErrConflict)
	}
	return nil
}
