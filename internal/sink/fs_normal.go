//go:build !failpoints

package sink

// theDisk is the file system of folders.
func theDisk() fileSystem { return disk{} }
