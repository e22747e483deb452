// Package poison runs jobs, in real processes, with an object that crashes its mapper or
// its program, hangs it, or makes it use all memory.
//
// Such an object costs a bounded number of attempts and becomes exactly one dead letter
// with the reason. Its neighbours in the chunk are saved. No other object becomes a dead
// letter, even if another mapper crashes on every object.
package poison
