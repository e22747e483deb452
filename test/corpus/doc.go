// Package corpus runs hostile inputs through whole jobs, as a user would, and
// looks at every byte that comes out.
//
// Each input says what must become of each of its objects: it is in the output
// byte for byte, or it is one dead letter with the reason and the place. Nothing
// else may be there, the counts and the exit code must say the same, and the
// independent checker and verify must agree.
//
// What is not here: inputs that change while they are read (internal/source),
// and transforms that misbehave (internal/transform, test/hostile).
package corpus
