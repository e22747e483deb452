// Package fetcher is the role that cuts the source into chunks, grants pieces of them to
// mappers that ask, and sends a piece again until the saver has confirmed it.
//
//	source ───cut loop───▶ ┌─────────────┐ ──senders──────▶ mappers   (a grant)
//	mappers ──next, beat─▶ │ coordinator │ ──orders───────▶ mappers   (ping, drop; all: hello)
//	saver ────saved──────▶ └─────────────┘ ──saver client─▶ saver     (claim, list, finish)
//
// The coordinator is one goroutine that owns the ledger and all other state;
// handlers and loops post closures to it. It does no I/O and never blocks.
//
// Nothing that the fetcher knows is durable. It claims the job at the sink,
// which gives it an epoch, cuts the source anew, and learns from the sink which
// chunks are committed and from the mappers which ones they hold.
//
// # How much work a grant has
//
// Mappers tell how long one object takes them. From that follows how many objects a piece has, and how many
// pieces a grant (sizing.go): seconds of slow work, milliseconds of quick work. So the ledger leases
// pieces, and a chunk is only how the source is cut.
//
// # Memory
//
// A chunk of which a part waits to go out, or is being sent, takes its bytes, and all of these take at most
// MEMORY_BYTES, however many mappers there are. A chunk in flight takes a few
// hundred bytes, because a file is read again when the chunk must go out again.
// If the source cannot be read twice (stdin, gzip, zstd), the fetcher keeps the bytes
// until the chunk is saved. A saved chunk takes one bit.
package fetcher
