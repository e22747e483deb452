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
// A stream is JSON Lines, JSON arrays or JSON values. A byte order mark at its
// beginning is passed over.
//
//   - Lines: every line that is not blank is an object, without its line break,
//     LF or CRLF. Blanks elsewhere in the line belong to the object.
//   - Array: every element is an object, without the blanks around it. With
//     Format Array more arrays may follow the first.
//   - Values: every value is an object, wherever lines end.
//
// CR and LF inside an element or a value become spaces, so that it is one line.
//
// Format Auto looks at the first line that is not blank, and at what follows it
// as far as that is needed, at most 1 MiB:
//
//   - A line that is valid begins lines; an array may be lines or an array, see
//     below. While all lines are values that a program prints on one line
//     even if it spreads out others, as 1 or {}, a value that spans lines shows
//     that these are values.
//   - '[' opens an array if it stands alone on its line, or if its first element is
//     valid and the line ends behind a comma, inside an element, or before a line
//     that begins with ',' or ']'.
//   - What can be read as values up to the end of a line is values.
//   - Anything else is lines, some of which are broken, if one of the first 100 is
//     valid or there is one line only. If not, it is an InputError.
//
// One line that is an array, and nothing else, may be an array or a line. Decide
// of ScanOptions says which, as it may know other streams of the job; without it,
// it is an array.
//
// # Flaws
//
// An object passes through byte for byte if encoding/json.Valid and utf8.Valid
// accept it: numbers of any size, repeated keys and lone surrogate escapes do.
// Whatever else is in the stream is not skipped. As long as it is certain where
// the next object begins it does not end the run: it is an object as well,
// with an ordinal and a flaw that names line, byte offset and what is wrong:
//
//   - a line or an element that is not valid, as it is;
//   - two elements without a comma between them, as one object;
//   - an object or array among values that is not valid, up to where its
//     brackets are closed;
//   - a missing element: a placeholder;
//   - an object larger than MaxObject: a placeholder with size and SHA-256 of
//     the original, which is never in memory. An element counts with the
//     blanks behind it there.
//
// A stream that cannot be read to its end, as a torn gzip file, is an error and
// not an object. Where the stream is not what its format says it is an InputError:
// it ends in the middle of an object, or in a line that is not valid and lacks its
// line break; text follows an array; something among values is no value.
//
// A chunk is a unit of work, not a frame on the wire; package bus moves it.
package chunk
