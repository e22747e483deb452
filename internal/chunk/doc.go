// Package chunk says what a chunk is, how a stream of JSON values is cut into
// objects and these into chunks, and what identifies the result: the plan and
// the digest.
//
// Cutting is deterministic. The same bytes and the same plan give the same
// chunks, on any machine and after any restart, however the bytes come in;
// everything else in chunkline leans on that: a chunk can be named by a number,
// read again, and compared with what the sink holds.
//
// # What an object is
//
// A stream is JSON Lines or JSON arrays. A byte order mark at its beginning is
// passed over.
//
//   - Lines: every line that is not blank is an object, without its line break,
//     LF or CRLF. Blanks elsewhere in the line belong to the object.
//   - Array: every element is an object, without the blanks around it. CR and LF
//     inside an element become spaces, so that it is one line. With Format
//     Array more arrays may follow the first.
//
// Format Auto takes a stream whose first byte that is not blank is '[' for an
// array, and everything else for lines. One exception: if that array is
// closed on its own line, nothing follows it there, and a later line is not
// blank, then these are lines that hold arrays. At most 1 MiB is read ahead to
// find out; a longer first line that is an array makes the stream an array, and
// what follows it is reported, not guessed at. A file with nothing but one
// array on one line is always an array.
//
// # Flaws
//
// An object passes through byte for byte if encoding/json.Valid and utf8.Valid
// accept it: numbers of any size, repeated keys and lone surrogate escapes do.
// Whatever else is in the stream is not skipped and does not end the run. It is
// an object as well, with an ordinal and a flaw that names line, byte offset and
// what is wrong:
//
//   - a line or an element that is not valid, as it is;
//   - two elements without a comma between them, as one object;
//   - an element cut off by the end of the stream, as far as it goes;
//   - a line behind the end of an array;
//   - a missing element, or a missing end of the array: a placeholder;
//   - an object larger than MaxObject: a placeholder with size and SHA-256 of
//     the original, which is never in memory. An element counts with the
//     blanks behind it there.
//
// A stream that cannot be read to its end, as a torn gzip file, is an error and
// not an object.
//
// A chunk is a unit of work, not a frame on the wire; package bus moves it.
package chunk
