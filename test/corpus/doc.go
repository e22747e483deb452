// Package corpus runs whole jobs on hostile inputs and checks every byte of the result.
//
// Each test case lists the expected result of each object: the object is in the output
// byte for byte, or it is one dead letter with a reason and a place. The result must
// contain nothing else, the counts and the exit code must match, and the independent
// checker and verify must agree.
//
// Other packages test inputs that change while they are read (internal/source) and
// transforms that misbehave (internal/transform, test/hostile).
package corpus
