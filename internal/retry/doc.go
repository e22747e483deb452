// Package retry maps dead letters again after the transform was fixed, and inserts the new outputs among the others in
// the order of the objects.
//
// It replaces a chunk's outputs and dead letters in one step, so an object always either is still a dead letter or has
// its outputs. Objects that no transform can read never reached a mapper, and stay dead letters.
package retry
