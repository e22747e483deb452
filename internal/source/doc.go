// Package source reads the objects of a job from files, from objects in buckets, from standard input, from the output
// of a command, from an HTTP API or from a database.
//
// A source returns the chunks of a job in order, and returns a chunk again when it must be mapped again. Two runs over
// the same bytes give the same chunks. Memory does not grow with the input. Nothing in the input is skipped: it becomes
// an object, valid or with a flaw, or ends the source with an error that names the file and the place.
//
// The package does not guarantee that the input stays the same. Reread returns the current content of the files; the
// digest shows whether it has changed.
//
// # How a source is named
//
// A source is a list of items, separated by commas and read in the given order:
//
//	data/users.jsonl                      a file
//	data/*.jsonl                          a glob: its files, sorted by name
//	data/**/*.jsonl                       a glob: also those in folders below
//	file:///data/users%2C%20old.jsonl     a file: URL, for names with special characters
//	file:///data/                         all files below a folder
//	s3://BUCKET/KEY                       an object; keys are escaped as in a file: URL
//	s3://BUCKET/FOLDER/                   all objects below a folder
//	s3://BUCKET/logs/**/*.gz              a glob: its objects, sorted by key
//	gs://BUCKET/KEY                       the same in Google Cloud Storage
//	azblob://CONTAINER/KEY                the same in Azure Blob Storage
//	-  or  stdin:                         standard input, which must be the only item
//	cmd:PROGRAM ARG…                      the output of a command, also the only item
//	cmd?format=csv:PROGRAM ARG…           the same with a format; ":" in an option is %3A
//	https://HOST/PATH#OPTIONS             a JSON API, read page by page; also the only item
//	sqlite:FILE?query=SELECT …&key=ID     the rows of a query; also the only item
//	postgres://HOST/DB?query=…&key=ID     the same; other options are those of libpq
//
// The ETag of an object, or its generation in Google Cloud Storage, is part of the identity of the source. An object
// that changes while it is read is ErrChanged.
//
// Naming a file twice is an error, even under two names. Globs work as in shells: "**" matches any number of folders
// but does not follow symbolic links, and names that begin with a dot need a pattern that does. A folder that matches
// is skipped; one that cannot be read is an error.
//
// An item may end in a format and its options, such as ?format=lines or ?format=csv&delimiter=;, which docs/laptop.md
// lists. They are needed if neither the name nor the content (see package chunk) determines the format. Options.Format
// sets it for all items.
//
// gzip and zstd are recognised by content, also on standard input; zeros may follow gzip data. Parquet must be a
// regular file. Its places and marks count rows.
//
// A file that holds just one array on one line is either an array of objects or one object. The other files of the
// source decide, once for all such files; if they contradict each other, Open fails.
//
// # Streams
//
// A command or standard input cannot be read again. With Options.Spool it is written to a spool before it is cut, so
// every later run has the same bytes, and a command that has ended is not started again. If a command must start again,
// its output is compared with the spool, and so is standard input in each run; a difference is ErrChanged. A command
// with an exit code other than 0 ends the source with an error. Closing the source kills a command that is still
// running.
//
// The pages of an API are requested one after another. The position of each page is spooled with it, and a later run
// continues after the last one. An API that fails for good or names a page again ends the source with an error. No
// connection is made to link-local addresses or those of cloud metadata unless the options allow it, whatever name or
// redirect leads there; a proxy must enforce that itself. Memory use includes one page of up to 64 MiB, its decoded
// parts, and the pages that are prefetched.
//
// The rows of a query are one snapshot, ordered by a key that is unique and never NULL. With a spool all of them are
// written to it before the first one is returned. If a run is killed before that, the next one starts over; after that
// no run queries the database. Identities and errors contain no passwords.
//
// # Memory
//
// Next holds one buffer of 256 KiB, or of the largest object so far, and up to about twice chunk.MaxObject while the
// buffer grows. zstd needs a window of up to 128 MiB in addition, the limit of the zstd program. Parquet needs one page
// of each column, whose size the file's author chooses, and at least 1 MiB for each column of an object. A spool needs
// 12 MiB. A query needs 5 MiB and its longest row.
package source
