// Package retry maps dead letters again, after the transform was fixed, and inserts
// the new outputs in their place among the others.
//
// A chunk's outputs and dead letters are replaced in one step, so an object is always
// either still a dead letter or has its outputs. Objects that no transform can read,
// which never reached a mapper, stay dead letters.
package retry
