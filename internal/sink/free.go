package sink

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
)

// noSpace adds to ErrFull how many bytes are free where the write failed: in the folder or, for a merged file, elsewhere.
func noSpace(dir string, err error) error {
	if at, ok := errors.AsType[*fs.PathError](err); ok {
		dir = filepath.Dir(at.Path)
	}
	free, known := freeBytes(dir)
	if !known {
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	return fmt.Errorf("%w, %d bytes are free in %s: %w", ErrFull, free, dir, err)
}
