// Package ledger tracks which chunks are ready, in flight, saved or dead, who
// holds them, and when they must be handed out again.
//
//	Add ──▶ ready ──Lease──▶ in flight ──Saved──▶ saved
//	          ▲                  │  │
//	          │                  │  └─ Saved, from whatever attempt and however late
//	          └──Settle(no)── doubt: the last lease is lost; the sink is asked first
//	                             │
//	                             └─ took down MaxAttempts mappers, culprit unknown ──▶ dead ──Saved──▶ saved
//
// It is a plain value: no goroutine, no lock, no clock, no I/O. One goroutine
// owns a Ledger and tells it the time.
//
// # Invariant
//
// Every added chunk is in exactly one state. A chunk in flight has a lease, or
// is in doubt; no other chunk has one. A saved chunk stays saved and is never
// handed out again.
//
// # Lists, not deltas
//
// A mapper's report lists every chunk it holds and every request of its that
// is still open. A lease given in answer to request q is lost when a later
// report shows q closed and the chunk not held; no clock and no second message
// is needed to know it. A report that is older than another one of the same
// mapper says nothing. A listed chunk that is not leased to that mapper is
// adopted: the fetcher was restarted, or the mapper was paused for so long
// that it was given up.
//
// # Poison
//
// An object may take down the process that touches it. When CarefulAfter
// mappers have vanished with a chunk, it is handed out in careful mode: the
// mapper announces each object first. Each mapper that vanishes then is
// evidence against the object it had announced; two pieces of evidence and the
// object is skipped on the next attempt. One is not enough, because machines
// also die of other causes.
//
// A mapper has several workers and takes all its chunks down with it. So that
// only the culprit is blamed, a careful chunk is given only to a mapper that
// holds nothing else, and that gets nothing else meanwhile; one that vanishes
// while it holds several chunks is evidence against none of their objects.
//
// A mapper that comes back and goes on with the chunk did not die of it: what
// it was evidence for is forgotten, and it does not count as an attempt.
//
// A mapper may also be broken and crash on whatever it gets. So a witness must
// be credible: it has had a chunk saved, or has survived another object of the
// same attempt. A careful chunk is given only to mappers that have had a chunk
// saved, as long as there is one alive; if there is none, it waits until
// nothing is in flight, because one may come of that. A mapper that may get no
// chunk now (Exclude) does not count, or the chunk would wait for ever. What
// remains is the case in which every mapper is new and dies of the first thing it touches, where
// object and mapper cannot be told apart; there it takes MaxAttempts pieces of
// evidence (with MaxAttempts 0, the ledger waits for a mapper that works).
//
// Bound: an object that takes down its mapper costs CarefulAfter + 2 mappers
// while credible ones exist, each further one in the same chunk 2. It costs
// the chunks beside it no object, but they may be handed out carefully too.
//
// # Memory
//
// A chunk that waits to be handed out for the first time, or is saved, costs
// one bit; one in flight, with its mapper, some 700 bytes. BenchmarkLedger: 8 MiB
// for 10 million chunks and 10,000 mappers.
package ledger
