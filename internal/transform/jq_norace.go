//go:build !race

package transform

// memoryFactor is 1 where the race detector does not watch.
const memoryFactor = 1
