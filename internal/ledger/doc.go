// Package ledger tracks which chunks are ready, in flight, saved or dead, who
// holds them, and when they must be handed out again.
//
//	Add ──▶ ready ──Lease──▶ in flight ──Saved──▶ saved
//	          ▲                  │  │
//	          │                  │  └─ Saved, from whatever attempt and however late
//	          └──── NotSaved ── unconfirmed: the last lease ended; the sink is asked first
//	                             │
//	                             └─ took down MaxAttempts mappers, no object to blame ──▶ dead ──Saved──▶ saved
//
// It is a plain value: no goroutine, no lock, no clock, no I/O. One goroutine
// owns a Ledger and tells it the time.
//
// # Invariant
//
// Every added chunk is in exactly one state. A chunk in flight is leased or
// unconfirmed, not both; no other chunk is either. A saved chunk stays saved and
// is never handed out again.
//
// # Lists, not deltas
//
// A mapper's report lists every chunk it holds and every request of its that
// is still open. A lease given in answer to request q is lost if a later
// report shows q closed and the chunk not held; this takes no clock and no second
// message. A report that is older than another one of the same mapper changes
// nothing. A listed chunk that is not leased to that mapper is adopted: the
// fetcher was restarted, or the mapper was paused for so long that it was
// thought to have vanished.
//
// # Poison
//
// An object may crash the process that touches it. When CarefulAfter mappers
// have vanished with a chunk, it is handed out in careful mode: the mapper
// announces each object first. Each mapper that vanishes then is evidence
// against the object that it had announced. An object with two pieces of
// evidence is skipped on the next attempt. One is not enough, because machines
// also die of other causes.
//
// A mapper has several workers and takes all its chunks down with it. So a
// careful chunk is given only to a mapper that holds nothing else, and that
// gets nothing else meanwhile. A mapper that vanishes while it holds several
// chunks is evidence against none of their objects.
//
// A mapper that comes back and goes on with the chunk did not die of it: its
// evidence is forgotten, and it does not count as an attempt.
//
// A mapper may also be broken and crash on every chunk. So only a proven mapper
// counts: one that has had a chunk saved, or has survived another object of the
// same attempt. A careful chunk is given only to mappers that have had a chunk
// saved, as long as one is alive; if none is, it waits until nothing is in
// flight, because a chunk in flight may prove a mapper. A mapper that may get no
// chunk now (Exclude) does not count, or the chunk would wait for ever. If
// every mapper is new and dies of the first object that it touches, object and mapper
// cannot be told apart; then it takes MaxAttempts pieces of evidence (with
// MaxAttempts 0, the chunk waits for a mapper that works).
//
// Bound: an object that crashes its mapper costs CarefulAfter + 2 mappers
// while proven ones exist, each further one in the same chunk 2. It costs
// its neighbours nothing, but they may be handed out carefully, too.
//
// # Memory
//
// A chunk that waits to be handed out for the first time, or is saved, costs
// one bit; one in flight, with its mapper, some 700 bytes. BenchmarkLedger: 8 MiB
// for 10 million chunks and 10,000 mappers.
package ledger
