// Package chunk defines the chunk. It says how a stream of JSON values is cut into objects and the objects into chunks,
// and it provides the plan and the digest that identify a result.
//
// Cutting is deterministic: the same bytes and the same plan give the same chunks, on any machine, after any restart,
// and however the reads split the bytes. The rest of chunkline relies on this to name a chunk by a number, read it
// again, and compare it with the content of the sink.
//
// A chunk is a unit of work, not a frame on the wire; package bus transports it.
//
// # Objects
//
// A stream is JSON Lines, JSON arrays, JSON values or CSV. A byte order mark at its beginning is skipped.
//
//   - Lines: every line that is not blank is an object, without its line break, LF or CRLF. Other white space in the
//     line belongs to the object.
//   - Array: every element is an object, without the white space around it. With Format Array more arrays may follow
//     the first.
//   - Values: every value is an object, no matter where lines end.
//   - CSV: every row that is not empty is an object with the columns' names as keys, in their order. Rows are as in RFC
//     4180, with LF or CRLF; a Table has the options. CSV is never detected.
//
// CR and LF inside an element or a value become spaces, so that it is one line. In the strings of a table they are
// kept, as escapes.
//
// Format Auto looks at the first line that is not blank and, if that does not decide, at up to 1 MiB that follows:
//
//   - A valid line begins lines; for an array see below. A scalar, {} and [] look the same in lines and in values.
//     While all lines so far are such, a value that spans lines shows that the stream is values.
//   - '[' opens an array if it stands alone on its line. It also does if its first element is valid and the line ends
//     after a comma, inside an element, or before a line that begins with ',' or ']'.
//   - A stream that reads as values up to the end of a line is values.
//   - Anything else is lines, some of which are broken, if one of the first 100 lines is valid or there is only one
//     line. Otherwise it is an InputError.
//
// A stream of one line that is an array could be an array or a line. ScanOptions.Decide chooses, as it may know the
// other streams of the job; without it the stream is an array.
//
// # Flaws
//
// An object passes unchanged if encoding/json.Valid and utf8.Valid accept it. Numbers of any size, repeated keys and
// lone surrogate escapes are valid. The scanner skips nothing. If it is certain where the next object begins, the
// scanner continues, and returns the invalid object with a flaw that names line, byte offset and problem:
//
//   - a line or an element that is not valid, as it is;
//   - two elements without a comma between them, as one object;
//   - an object or array among values that is not valid, up to its closing bracket;
//   - a missing element, as a placeholder;
//   - a row that breaks the rules for quotes, has another number of fields than the table has columns, or a field that
//     is not of its column's type, as it is but on one line;
//   - an object larger than MaxObject, as a placeholder with size and SHA-256 of the original, which is never held in
//     memory. The size of an element includes the white space after it.
//
// A stream that cannot be read to its end, such as a truncated gzip file, is an error and not an object. A stream that
// breaks its format is an InputError: it ends in the middle of an object, or with an invalid line or row without a line
// break; text follows an array; a stream of values has something else among them; or the header of a table cannot be
// used.
package chunk
