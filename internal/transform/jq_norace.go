//go:build !race

package transform

// memoryFactor is 1 without the race detector.
const memoryFactor = 1
