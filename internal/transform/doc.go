// Package transform is what a mapper does to an object: it turns one JSON
// value into zero or more. [Parse] reads the TRANSFORM setting, [Spec.New]
// makes one [Transform] for each worker, [Run] maps a chunk.
//
// # What it promises
//
//   - The outputs of an object are lines, each one JSON value; Output.Counts
//     says how many lines each object has, in the order of the chunk.
//   - An error of an object is a failure of that object alone. It has no
//     outputs then, not even those that came before the error.
//   - identity gives an object's bytes unchanged. users copies the text
//     between the quotes of a string, escapes and all: nothing is decoded.
//   - Processes that a program leaves behind are reaped while a program runs, if
//     the kernel gives them to us: as process 1 or a subreaper.
//   - After Close has returned, no goroutine and no process of it is left.
//
// It relies on package chunk for one thing: an object that Run is not told to
// skip is one JSON value in valid UTF-8, without a line break.
//
// # jq
//
// The program is run by gojq. Objects iterate and print in the order of their
// keys, everywhere, not in that of the input (ADR 22). Else output is as
// "jq -c" prints it, up to the spelling of numbers: a number that is only moved
// keeps its digits (2^53+1 and 1e400 pass), integers are calculated exactly,
// everything else in float64, where 1e400 becomes the largest float64. A lone
// surrogate escape becomes U+FFFD, of a duplicate key the last one stays. The
// environment ($ENV, env), other files (import) and input are out of reach: a
// program that asks for them is refused. Values for it ($NAME) are part of the
// setting, see [JQSpec].
//
// # jq: the budget
//
// The program runs in a process of its own, one for each worker: this program,
// started again, with limits of memory and stack. It is sent many objects at a
// time. An object for which it exceeds a limit ends that process, and no other.
// The objects that were on their way are then asked one by one, and an object
// is blamed only by a process that has seen no other. The budget of memory is
// 256 MiB, or what memory= of the setting says, and at least 64 bytes for each
// byte of the object.
//
// The time of an object ends a step of a program, too: the process is killed.
// On macOS the memory is looked at a hundred times a second, so that a step
// that takes much at once can take more.
//
// # exec: the rules for the program
//
// It is started once for each worker, and kept running. It reads one object a
// line from standard input and, before it reads the next one, writes exactly
// one line to standard output, and flushes it:
//
//	a JSON value        the output
//	an empty line       this object has no output
//	! and a message     this object is an error
//
// It ends when its input ends, with 0. It has EndTimeout for that, then SIGTERM,
// then 5 s until SIGKILL. Another end than 0 is ErrEnd. A program whose chunk is
// dropped ends in the same way, while the next chunk has a new process; how it
// ends is only told. A program that breaks the rules is killed at once. Whatever it prints to standard error is passed
// on, and its last 4 KiB are added to errors it causes. It has the environment
// of the mapper without chunkline's own secrets (NATS_*, SINK), with
// PYTHONUNBUFFERED=1 unless it is set. It has a session of its own, without a
// terminal; its process group is killed whole, also when the program itself
// ends and leaves others behind; on Linux the program dies with the mapper,
// elsewhere it sees the end of its input.
//
// A program that ends, answers too late, or writes anything else is replaced,
// and the object is tried once more in the fresh process before it is an
// error. The time limit is for one try; the start of a process counts towards
// its first object.
//
// # exec: answers must not shift
//
// Lines carry no name, so a program that prints two lines for one object
// would shift every later answer by one. A chunk in which that is seen is
// dropped and done again in a fresh process, with a quiet wait after every
// answer as long as the longest answer of the chunk (2 ms to 1 s; the start of
// a process counts for its first answer only); what
// printed two lines then is known, and only that is an error; its process goes
// on once it is silent. If a line comes
// still later, the chunk is done again with a wait eight times as long, four
// times at the most. A surplus line is seen when
//
//   - the second line has come before the next object is written;
//   - or within 2 ms of the answer, for the first 100 objects of each worker,
//     for 100 after every surprise, and for answers that take 20 ms and more;
//   - or within the longest answer time (2 ms to 1 s) of the end of the chunk,
//     and of a moment within it whenever the answers since the last such wait
//     have taken ten times as long.
//
// When a process fails after answers that no quiet wait followed, the failure
// may have swallowed the surplus line. The objects since the last quiet wait
// that proves all answers before it are done again, then there is such a wait,
// then comes the second try of the object at which the process failed. What is
// done again has taken ten times the longest answer, or 20 ms, at the most. The waits stay as they were: a
// process that fails writes no surplus line.
//
// After the first failure of a worker's process a second one is started beside
// it and waits for the next failure (a spare), which then costs no start.
//
// The limit: a line that comes later than all that, and is followed in the
// same chunk by an object without a line, cannot be told from an answer. Only
// a program that repeats a key of the object in its answer could be checked.
package transform
