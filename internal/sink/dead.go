package sink

import (
	"context"
	"fmt"

	"github.com/chunkline/chunkline/internal/chunk"
)

// deadRead bounds the bytes read of one chunk's dead letters: an object may have 64 MiB, and a person only needs to see its
// beginning.
const deadRead = 4 << 20

// DeadBelow implements saver.Sink.
func (f *Folder) DeadBelow(ctx context.Context, below chunk.ID, limit int) (lines []byte, next chunk.ID, err error) {
	var found []placed
	err = f.look(ctx, func() {
		for p := range f.table.below(below) {
			if !p.at.dead() {
				continue
			}
			enough := len(found) >= limit && (len(found) == 0 || p.ID != found[len(found)-1].ID)
			if found = append(found, p); enough {
				break // this piece only shows that there are more
			}
		}
	})
	if err != nil {
		return nil, 0, err
	}
	letters, left := 0, int64(0)
	for i, p := range found {
		if i == 0 || p.ID != found[i-1].ID {
			if letters >= limit {
				return lines, next, nil
			}
			left = deadRead
		}
		r, err := f.recordAt(p)
		if err == nil {
			lines, err = f.shownDead(lines, r, &left)
		}
		if err != nil {
			return nil, 0, fmt.Errorf("read dead letters of chunk %d: %w", p.ID, err)
		}
		letters += r.DeadCount
		next = p.ID
	}
	return lines, 0, nil
}

// shownDead appends a piece's dead letters. If they exceed what may still be read of the chunk, it appends one placeholder.
func (f *Folder) shownDead(lines []byte, r Record, left *int64) ([]byte, error) {
	if r.Dead.Length <= *left {
		*left -= r.Dead.Length
		return f.DeadLetters(lines, r)
	}
	letter := chunk.DeadLetter{
		Ordinal: r.First, Chunk: r.Chunk, Attempts: r.Attempt, Mapper: r.Mapper, Version: r.Version,
		Error: fmt.Sprintf("%d dead letters of %d bytes, too large to show here: chunkline dead list prints them", r.DeadCount, r.Dead.Length),
	}
	return letter.Append(lines), nil
}
