// Package ledger tracks which pieces of chunks are ready, in flight, saved or dead,
// who holds them, and when they must be handed out again.
//
//	Add ──▶ ready ──Lease──▶ in flight ──Saved──▶ saved
//	          ▲                  │  │
//	          │                  │  └─ Saved, from whatever attempt and however late
//	          └──── NotSaved ── unconfirmed: the last lease ended; the sink is asked first
//	                             │
//	                             └─ took down MaxAttempts mappers, no object to blame ──▶ dead ──Saved──▶ saved
//
// It is a plain value: no goroutine, no lock, no clock, no I/O. One goroutine owns a
// Ledger and tells it the time.
//
// # Invariant
//
// Every object of every added chunk is in exactly one state, in one piece at most. A
// piece in flight is leased or unconfirmed, not both; no other piece is either. A
// saved object stays saved and is never handed out again.
//
// # The story of a piece
//
// A chunk is added as one piece, and is so as long as nobody needs less. A mapper's
// request is answered with a grant: Lease is called once for each piece of it. If a
// piece has more objects than the caller wants, it is cut. The first part is leased.
// The rest keeps the place of the whole, so it comes next. Pieces are cut, never
// merged.
//
// The mapper lists the piece in its reports until the saver has answered. Saved ends
// all leases of the piece. If the lease ends in another way, the piece is
// unconfirmed: the result may have reached the sink all the same. The caller asks
// the sink, and tells Saved and NotSaved. Then the piece is ready again, before all
// chunks that were never handed out, because a job ends with its oldest piece.
//
// A result may come late, when the objects have been cut anew for others. The sink
// takes it if it has none of them, and then Saved is told of objects rather than of
// a piece that the ledger knows. Pieces within them are saved. Of a piece that is
// only partly among them, what remains is a ready piece of its own. The leases of
// both end, for the sink takes no result that has objects which it holds already;
// Confirmed.Drop says who can stop.
//
// # Lists, not deltas
//
// A mapper's report lists every piece it holds and every request of its that is
// still open. A lease given in answer to request q is lost if a later report shows q
// closed and the piece not held; this takes no clock and no second message. A report
// that is older than another one of the same mapper changes nothing.
//
// A listed piece that is not leased to that mapper is adopted: the fetcher was
// restarted, or the mapper was paused for so long that it was thought to have
// vanished. If the ledger has not cut that piece, it is cut out of one that nobody
// has a lease of. That fails if the objects are leased with other bounds, or are in
// several pieces. Then the mapper works on without a lease, and the result that is
// first is saved. A listed piece of a chunk that is not added yet is remembered
// until then. One that has saved or dead objects can be dropped.
//
// # Stragglers
//
// A piece that is in flight for too long gets a backup attempt at another mapper
// when nothing is ready. Too long is twice the time that as many objects take by the
// median of the last spanDurations pieces, each divided by its number of objects,
// since pieces of one job may differ a hundredfold in length; and minStraggler at
// least, since a pause of a second says nothing. One in maxBackups of the pieces in
// flight has a backup attempt at most.
//
// # Poison
//
// An object may crash the process that touches it. A piece that a mapper has
// vanished with is a suspect. It is handed out in a grant of its own, so that the
// next crash has fewer possible causes, however large the grants are, and it is not cut
// any more, so that a mapper can survive other objects of it. When
// CarefulAfter mappers have vanished with a piece, it is handed out in careful mode:
// the mapper announces each object first. Each mapper that vanishes then is evidence
// against the object that it had announced. An object with two pieces of evidence is
// skipped on the next attempt. One is not enough, because machines also die of other
// causes.
//
// When a piece is cut, evidence against an object goes to the part that has the
// object. Evidence against the piece as a whole, and the number of attempts, go to
// both parts.
//
// A mapper has several workers and takes all its pieces down with it. So a careful
// piece is given only to a mapper that holds nothing else, lists nothing else, and
// gets nothing else meanwhile. A mapper that vanishes while it holds or lists
// several pieces is evidence against none of their objects.
//
// A mapper that comes back and goes on with the piece did not die of it: its
// evidence is forgotten, and it does not count as an attempt. The same holds for all
// pieces that have objects of the one it lists.
//
// A mapper may also be broken and crash on every piece. So only a proven mapper
// counts: one that has had a piece saved, or has survived another object of the same
// attempt. A careful piece is given only to mappers that have had a piece saved, as
// long as one is alive; if none is, it waits until nothing is in flight, because a
// piece in flight may prove a mapper. A mapper that may get no piece now (Exclude)
// does not count, or the piece would wait for ever. If every mapper is new and dies
// of the first object that it touches, object and mapper cannot be told apart; then
// it takes MaxAttempts pieces of evidence (with MaxAttempts 0, the piece waits for a
// mapper that works).
//
// Bound: an object that crashes its mapper costs CarefulAfter + 2 mappers while
// proven ones exist, each further one in the same piece 2. It costs its neighbours
// nothing, but they may be handed out carefully, too. A backup attempt may cost one
// more.
//
// # Memory
//
// A chunk that waits to be handed out for the first time, or is saved, costs one
// bit; a piece in flight, with its mapper, some 950 bytes. How many objects chunks
// have is kept once for each run of chunks with the same number. BenchmarkLedger: 11
// MiB for 10 million chunks and 10,000 mappers.
package ledger
