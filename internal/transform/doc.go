// Package transform turns one JSON value into zero or more: the work that a mapper does on an object. [Parse] reads the
// TRANSFORM setting, [Spec.New] makes one [Transform] for each worker, and [Run] maps a chunk.
//
// # Guarantees
//
//   - The outputs of an object are lines, each one JSON value. Output.Counts has the number of lines of each object, in
//     the order of the chunk.
//   - An error fails only the object that caused it. A failed object has no outputs, not even those produced before the
//     error.
//   - identity returns an object's bytes unchanged. users copies the text between the quotes of a string, escapes
//     included, and decodes nothing.
//   - While a program runs, processes that it leaves behind are reaped if this process is process 1 or a subreaper,
//     because the kernel then hands them to it.
//   - After Close returns, no process of the Transform is left. Goroutines of net/http end soon after, when they notice
//     that their connection is closed.
//
// The package relies on package chunk: every object that Run is not told to skip is one JSON value in valid UTF-8
// without a line break.
//
// # jq
//
// gojq runs the program. Objects iterate and print in the order of their keys, not in that of the input (ADR 22).
// Otherwise the output is that of "jq -c", except for some numbers: a number that is only copied keeps its digits
// (2^53+1 and 1e400 pass), integer arithmetic is exact, and all other arithmetic uses float64, where 1e400 becomes the
// largest float64. A lone surrogate escape becomes U+FFFD; the last of several equal keys wins. Parse refuses a program
// that uses the environment ($ENV, env), other files (import) or input. Values for it ($NAME) are part of the setting;
// see [JQSpec].
//
// Package direct maps most objects of a simple program without gojq, in this process. It prints the same as gojq, and
// leaves to gojq the objects that it cannot map.
//
// # jq: the budget
//
// Each worker runs gojq in a process of its own, started when it is needed: this binary again, with limits on memory
// and stack. The worker sends it many objects at a time. An object that exceeds a limit ends that process and no other.
// The worker then sends the unanswered objects one by one, and fails an object only if it killed a process that had
// seen no other object. The memory budget is 256 MiB, or memory= of the setting, and at least 64 bytes for each byte of
// the object.
//
// An object's timeout also kills the process, because a single step of a program cannot be interrupted. macOS has no
// memory limit, so the process checks its own use 100 times a second; a step that allocates much at once can exceed the
// budget.
//
// # exec: the program
//
// docs/laptop.md has the rules for the program, which is started once for each worker and keeps running. If it exits
// with a status other than 0 when its input has ended, or must be killed then, that is ErrEnd. When a chunk is dropped,
// its program ends in the same way while a new process maps the next chunk; a bad exit is then only logged.
//
// The last 4 KiB of standard error are added to the errors that the program causes. Its whole process group is killed,
// including processes that it leaves behind when it exits. On Linux the program dies with the mapper; elsewhere it only
// sees its input end.
//
// If the program exits, answers too late or writes anything else, a new process replaces it, and the object gets one
// more try there before it fails. The timeout is for one try; starting the process counts toward its first object.
//
// # exec: answers must not shift
//
// Answers are matched to objects by their order alone. A program that prints two lines for one object would shift every
// later answer by one, so surplus lines must be detected. A surplus line is detected if
//
//   - it has arrived before the next object is written;
//   - it arrives within 2 ms of the answer: the worker waits that long after the first 100 answers, after 100 answers
//     following each surprise, and after every answer that took 20 ms or more;
//   - it arrives within the longest answer time (2 ms to 1 s) of the end of the chunk, or of a moment within the chunk
//     that comes whenever the answers since the last such wait have taken ten times as long.
//
// A chunk with a surplus line is dropped and mapped again in a new process, now with a wait after every answer as long
// as the longest answer of the chunk (2 ms to 1 s; the start of a process counts only for its first answer). This pass
// shows which object has two answers. Only that object fails, and its process continues once it is silent. If a line
// arrives later still, the chunk is mapped again with a wait eight times as long, at most four times.
//
// A process may fail after answers that no wait has followed yet. The failure may have hidden a surplus line, so the
// worker maps the objects since the last proof again, waits to prove them, and then retries the object at which the
// process failed. The repeated work took at most ten times the longest answer, or 20 ms. The waits do not get longer,
// because a process that fails writes no surplus line.
//
// After the first failure of a worker's process, a second process is started beside it as a spare, so that the next
// failure costs no start-up time.
//
// One case cannot be detected: a surplus line that arrives after all these waits, followed in the same chunk by an
// object without a line. The program itself can guard against it by repeating a key of the object in its answer.
//
// # http: calls
//
// Each object is the JSON body of a POST to the URL of the setting. The body of the answer holds its outputs: any
// number of JSON values. With batch=N up to N objects are the elements of an array, and the answer is an array with one
// output for each of them. The options are in the fragment of the URL, which is never sent, so the whole query belongs
// to the service.
//
// A failure is temporary if the status is 408, 429 or 5xx, if the connection cannot be made or breaks, or if the answer
// takes longer than timeout=. Every other failure is final: another status, or an answer that is not JSON, is larger
// than 64 MiB, or has another number of elements than the batch. An answer without Content-Length or chunked encoding
// must be one object or array, because otherwise its end cannot be recognised.
//
// When a batch fails, each of its objects is sent alone before it fails. A worker makes up to concurrency= requests at
// a time, and holds at most as many answers. Token and headers come from [webservice.Credentials]. They are sent to the
// URL's host only, and removed from the service's answer before it becomes part of an error.
//
// # Retries
//
// An object whose failure is temporary is tried again up to Options.Retries times, after a wait of exponential backoff
// with full jitter (see retry.go). Meanwhile the other objects of the chunk are mapped; the outputs are still in the
// order of the chunk. A wait counts toward no time limit, and ends with the chunk's context. Objects of a batch wait
// together.
package transform
