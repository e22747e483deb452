package sink

import (
	"fmt"

	"github.com/chunkline/chunkline/internal/chunk"
)

// A DamageError says which part of a folder cannot be read back as written. Returning it changes nothing on disk. It is an
// ErrDamaged.
type DamageError struct {
	File   string // path
	Offset int64  // byte in File; -1: the file as a whole
	Chunk  chunk.ID
	Known  bool // Chunk is known
	What   string
}

func (e *DamageError) Error() string {
	where := e.File
	if e.Offset >= 0 {
		where = fmt.Sprintf("%s at byte %d", where, e.Offset)
	}
	if e.Known {
		where = fmt.Sprintf("%s (chunk %d)", where, e.Chunk)
	}
	return fmt.Sprintf("%s: %s: %s; nothing was changed: restore the sink from a copy, or move it away and run the job anew",
		ErrDamaged, where, e.What)
}

// Is makes errors.Is(err, ErrDamaged) true.
func (e *DamageError) Is(target error) bool { return target == ErrDamaged }
