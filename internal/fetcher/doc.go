// Package fetcher is the role that cuts the source into chunks, grants pieces of them to mappers on request, and
// redelivers a piece until the saver has confirmed it.
//
//	source ───cut loop───▶ ┌─────────────┐ ──senders──────▶ mappers   (a grant)
//	mappers ──next, beat─▶ │ coordinator │ ──orders───────▶ mappers   (ping, drop; all: hello)
//	saver ────saved──────▶ └─────────────┘ ──saver client─▶ saver     (claim, list, finish)
//
// The coordinator is one goroutine that owns the ledger and all other state; handlers and loops post closures to it. It
// does no I/O and never blocks.
//
// No state of the fetcher is durable. It claims the job at the sink, which gives it an epoch, cuts the source again,
// and learns from the sink which chunks are committed and from the mappers which ones they hold.
//
// # Grant sizes
//
// Mappers report how long one object takes them. That determines how many objects a piece has, and how many pieces a
// grant (sizing.go): seconds of slow work, milliseconds of quick work. So the ledger leases pieces, and a chunk is only
// the unit in which the source is cut.
//
// # Memory
//
// A chunk that has not gone out completely, or is being sent, takes its bytes, and all of these take at most
// MEMORY_BYTES, however many mappers there are. A chunk in flight takes a few hundred bytes, because a file is read
// again when the chunk must go out again. If the source cannot be read twice (stdin, gzip, zstd), the fetcher keeps the
// bytes until the chunk is saved. A saved chunk takes one bit.
package fetcher
