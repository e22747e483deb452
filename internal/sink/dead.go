package sink

import (
	"context"
	"fmt"

	"github.com/chunkline/chunkline/internal/chunk"
)

// deadRead bounds what is read of one chunk's dead letters, in bytes: an object may
// have 64 MiB, and a person wants to see its beginning.
const deadRead = 4 << 20

// DeadBelow returns dead letters of chunks below a chunk, as Sink says.
func (f *Folder) DeadBelow(ctx context.Context, below chunk.ID, limit int) (lines []byte, next chunk.ID, err error) {
	var found []located
	err = f.look(ctx, func() {
		f.table.below(below, func(id chunk.ID, s spot) bool {
			if s.at.dead() {
				found = append(found, located{id, s.at})
			}
			return len(found) <= limit // one more than can be needed says whether there are more
		})
	})
	if err != nil {
		return nil, 0, err
	}
	letters := 0
	for _, l := range found {
		if letters >= limit {
			return lines, next, nil
		}
		r, err := f.recordAt(l)
		if err == nil {
			lines, err = f.shownDead(lines, r)
		}
		if err != nil {
			return nil, 0, fmt.Errorf("read dead letters of chunk %d: %w", l.id, err)
		}
		letters += r.DeadCount
		next = l.id
	}
	return lines, 0, nil
}

// shownDead appends a chunk's dead letters, or one that stands for them when
// they are too large to be read for a look.
func (f *Folder) shownDead(lines []byte, r Record) ([]byte, error) {
	if r.Dead.Length <= deadRead {
		return f.DeadLetters(lines, r)
	}
	letter := chunk.DeadLetter{
		Ordinal: r.First, Chunk: r.Chunk, Attempts: r.Attempt, Mapper: r.Mapper, Version: r.Version,
		Error: fmt.Sprintf("%d dead letters of %d bytes, too large to show here: chunkline dead list prints them", r.DeadCount, r.Dead.Length),
	}
	return letter.Append(lines), nil
}
