package sink

import (
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/sys/unix"
)

// lock takes the lock that admits one saver or several readers to a folder. The system releases it when the process
// ends, even by kill -9.
func lock(f file, path string, shared bool) error {
	how := unix.LOCK_EX
	if shared {
		how = unix.LOCK_SH
	}
	for {
		err := unix.Flock(int(f.Fd()), how|unix.LOCK_NB)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, unix.EWOULDBLOCK):
			return ErrLocked
		case !errors.Is(err, unix.EINTR):
			return &fs.PathError{Op: "lock", Path: path, Err: fmt.Errorf("%w: file locks must work there, so use a local disk and no network file system", err)}
		}
	}
}

// unlock releases the lock before the file is closed. Closing is not enough while this process starts a program: from
// fork to exec the child has the descriptor, too, and the lock with it.
func unlock(f file) error { return unix.Flock(int(f.Fd()), unix.LOCK_UN) }
