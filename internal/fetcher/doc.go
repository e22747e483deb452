// Package fetcher is the role that cuts the source into chunks, hands them to
// mappers that ask, and sends a chunk again until the saver has confirmed it.
//
//	source ──cut loop──▶ ┌──────┐ ──senders──▶ mappers   (the chunk)
//	mappers ──next,beat▶ │ desk │ ──orders───▶ mappers   (there? drop it)
//	saver ────saved────▶ └──────┘ ──clerk────▶ saver     (claim, which are there, finish)
//
// The desk is one goroutine that owns the ledger and everything else that
// changes; handlers and loops hand it closures. It does no I/O and waits for
// nobody.
//
// Nothing that the fetcher knows is durable. It claims the job at the sink,
// which gives it an epoch, cuts the source anew, and learns from the sink what
// is committed and from the mappers what they hold.
//
// # Memory
//
// A chunk that waits to go out or is on its way costs its bytes, within
// MEMORY_BYTES, however many mappers there are. One that is out costs some hundred bytes, because a file is read again when it
// must go out again; from a source that cannot be read twice (stdin, gzip,
// zstd) its bytes are kept until it is saved. A saved chunk costs one bit.
package fetcher
