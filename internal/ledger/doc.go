// Package ledger tracks which pieces of chunks are ready, in flight, saved or dead, which mappers hold them, and when
// they must be handed out again.
//
//	Add ──▶ ready ──Lease──▶ in flight ──Saved──▶ saved
//	          ▲                  │  │
//	          │                  │  └─ Saved, from any attempt, however late
//	          └──── NotSaved ── unconfirmed: the last lease ended; the sink is asked first
//	                             │
//	                             └─ crashed MaxAttempts mappers, no object to blame ──▶ dead ──Saved──▶ saved
//
// It is a plain value: no goroutine, no lock, no clock, no I/O. One goroutine owns a Ledger and passes it the time.
//
// # Invariant
//
// Every object of every added chunk is in exactly one state, and in at most one piece. A piece in flight is either
// leased or unconfirmed; no other piece is. A saved object stays saved and is never handed out again.
//
// # The life of a piece
//
// A chunk is added as one piece, and stays whole until a mapper needs less. A mapper's request is answered with a
// grant: Lease is called once for each piece of it. If a piece has more objects than the caller wants, it is cut. The
// first part is leased. The rest keeps the place of the whole, so it comes next. Pieces are cut, never merged.
//
// The mapper lists the piece in its reports until the saver has answered. Saved ends all leases of the piece. If the
// lease ends in another way, the piece is unconfirmed: its result may have reached the sink all the same. The caller
// asks the sink, and calls Saved and NotSaved. Then the piece is ready again, before all chunks that were never handed
// out, because a job ends with its oldest piece.
//
// A late result may arrive when the objects have been cut differently for other mappers. The sink accepts it if it has
// none of them; then Saved gets objects that need not be a piece of the ledger. Pieces within these objects are saved.
// If a piece is only partly among them, the rest becomes a ready piece of its own. The leases of both end, because the
// sink refuses a result with objects that it already holds; Confirmed.Drop says which mappers can stop.
//
// # Lists, not deltas
//
// A mapper's report lists every piece it holds and every request of its that is still open. A lease given in answer to
// request q is lost if a later report shows q closed and the piece not held; this needs no clock and no second message.
// A report that is older than another one of the same mapper changes nothing.
//
// A listed piece that is not leased to that mapper is adopted: the fetcher was restarted, or the mapper was paused so
// long that it counted as vanished. If the ledger has not cut that piece, it is cut out of one that has no lease. That
// fails if the objects are leased with other bounds, or are in several pieces. Then the mapper works on without a
// lease, and the first result is saved. A listed piece of a chunk that is not added yet is remembered until then. If a
// listed piece has saved or dead objects, the mapper can drop it.
//
// # Stragglers
//
// A piece that is in flight for too long gets a backup attempt at another mapper when nothing is ready. Too long is
// twice the usual time for that many objects: the median, over the last spanDurations pieces, of the time per object,
// because pieces of one job may differ a hundredfold in length. It is at least minStraggler, because a pause of a
// second means nothing. At most one in maxBackups of the pieces in flight has a backup attempt.
//
// # Poison
//
// An object may crash the process that touches it. A piece whose mapper has vanished is a suspect. It is handed out in
// a grant of its own, so that the next crash has fewer possible causes, however large the grants are. It is not cut any
// more, so that a mapper can survive other objects of it. When CarefulAfter mappers have vanished with a piece, it is
// handed out in careful mode: the mapper announces each object first. Each mapper that vanishes then is evidence
// against the object that it had announced. An object with two pieces of evidence is skipped on the next attempt. One
// is not enough, because machines also fail for other reasons.
//
// When a piece is cut, evidence against an object goes to the part with that object. Evidence against the piece as a
// whole, and the number of attempts, go to both parts.
//
// A mapper has several workers, and all its pieces end with it. So a careful piece is given only to a mapper that holds
// nothing else, lists nothing else, and gets nothing else meanwhile. A mapper that vanishes while it holds or lists
// several pieces is evidence against none of their objects.
//
// A mapper that comes back and goes on with the piece was not killed by it: its evidence is forgotten, and it does not
// count as an attempt. The same holds for all pieces that share objects with the one it lists.
//
// A mapper may also be broken and crash on every piece. So only a proven mapper counts: one that has had a piece saved,
// or has survived another object of the same attempt. A careful piece is given only to mappers that have had a piece
// saved, as long as one is alive; if none is, it waits until nothing is in flight, because a piece in flight may prove
// a mapper. A mapper that may get no piece now (Exclude) does not count, because otherwise the piece might wait
// forever. If every mapper is new and crashes on the first object that it touches, a bad object cannot be told from a
// broken mapper; then it takes MaxAttempts pieces of evidence (with MaxAttempts 0, the piece waits for a mapper that
// works).
//
// Bound: an object that crashes its mapper costs CarefulAfter + 2 mappers while proven ones exist, and each further
// such object in the same piece costs 2. It costs its neighbours nothing, but they may be handed out carefully, too. A
// backup attempt may cost one more.
//
// # Memory
//
// A chunk that is saved, or was never handed out, costs one bit; a piece in flight, with its mapper, about 950 bytes.
// The number of objects is stored once for each run of chunks of the same size. BenchmarkLedger: 11 MiB for 10 million
// chunks and 10,000 mappers.
package ledger
