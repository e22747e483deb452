// Package poison runs jobs with an object that takes down whoever touches it,
// in real processes: the program that maps it dies, hangs or eats all memory,
// or it kills the mapper itself.
//
// It costs a bounded number of attempts, is exactly one dead letter with the
// reason, its neighbours in the chunk are saved, and no other object is ever
// blamed, also beside a mapper that crashes on everything it touches.
package poison
