// Package source says where the objects of a job come from: files and stdin.
//
// A source gives the chunks of a job in order, and gives a chunk again when it
// must be sent again. It promises that two runs over the same bytes give the
// same chunks, that memory does not grow with the input, and that whatever
// is in the input comes out as an object, valid or with a flaw, or ends the
// source with an error that names the file and the place. It never skips.
//
// It does not promise that the input stays as it is. Reread returns what the
// files hold now; whether that is what they held before, the digest says.
//
// # The words of a source
//
// A source is a list of items, separated by commas, read in the given order:
//
//	data/users.jsonl                      a file
//	data/*.jsonl                          a glob: its files, sorted by name
//	data/**/*.jsonl                       a glob: also those in folders below
//	file:///data/users%2C%20old.jsonl     a file: URL, for names with odd bytes
//	-  or  stdin:                         standard input, which stands alone
//
// A file that is named twice, also under two names, is refused. A glob is one as
// in shells: a part "**" stands for any number of folders, but for those behind
// symbolic links, and what begins with a dot is matched only by a part that
// begins with one. A folder that a glob matches is passed over; one that cannot be
// read is an error. An item may end in ?format=lines, ?format=array or ?format=values
// where looking at the content, as package chunk describes it, would go wrong;
// OpenAs says it for all items. Plain, gzip and zstd are told apart by content,
// also on stdin; zeros may follow gzip.
//
// A file with nothing but one array on one line is an array of objects or one
// object. The other files decide, once for the source; if they contradict each
// other, Open refuses it.
//
// # Memory
//
// Next holds one buffer of 256 KiB, or the largest object so far, up to about
// twice chunk.MaxObject for the moment it takes the buffer to grow; for zstd a
// window of up to 128 MiB, as the zstd program, beside it.
package source
