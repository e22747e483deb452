//go:build race

package transform

// memoryFactor is how many times the memory a process takes in which the race
// detector watches.
const memoryFactor = 8
