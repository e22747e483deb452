//go:build linux || darwin || freebsd

package sink

import "golang.org/x/sys/unix"

// freeBytes returns how many bytes this process may still write to the file system of a folder.
func freeBytes(dir string) (uint64, bool) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, false
	}
	return uint64(s.Bavail) * uint64(s.Bsize), true //nolint:unconvert // the types differ by platform
}
