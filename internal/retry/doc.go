// Package retry maps dead letters again, after the transform was mended, and
// puts what comes of them in its place among the outputs.
//
// A chunk's outputs and dead letters are replaced in one step, so whatever
// happens an object is either still a dead letter or has its outputs. Objects
// that no transform can read (they never reached a mapper) stay as they are.
package retry
