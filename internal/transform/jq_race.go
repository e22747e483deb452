//go:build race

package transform

// memoryFactor is how much more memory a process needs under the race detector.
const memoryFactor = 8
