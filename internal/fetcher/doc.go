// Package fetcher is the role that cuts the source into chunks, assigns them to
// mappers that ask, and sends a chunk again until the saver has confirmed it.
//
//	source ───cut loop───▶ ┌─────────────┐ ──senders──────▶ mappers   (a chunk)
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
// # Memory
//
// A chunk that waits to go out or is on its way costs its bytes, within
// MEMORY_BYTES, however many mappers there are. A chunk in flight costs some
// hundred bytes, because a file is read again when the chunk must go out again.
// A source that cannot be read twice (stdin, gzip, zstd) has its bytes kept
// until they are saved. A saved chunk costs one bit.
package fetcher
