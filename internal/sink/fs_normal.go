//go:build !failpoints

package sink

// theDisk is where folders lie.
func theDisk() fileSystem { return disk{} }
