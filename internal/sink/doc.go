// Package sink keeps the results of a job, each object's once. It is the only
// truth about what is done: nothing else in chunkline has a disk.
//
// A result is that of a piece: consecutive objects of one chunk, usually all of them.
//
// # What every sink promises
//
// When Commit says committed, the result survives a power cut, and no second
// result of its objects will ever be visible: a piece whose objects are there is a
// duplicate, in whatever pieces they came, and one of which some are there is dropped as a
// whole. A group of results becomes visible as a whole or not at all. When Commit says
// ErrFull, nothing of the group is there. Finish says done only if every chunk and every
// ordinal is there. The suite in sinktest holds every kind to that.
//
// # What it does not promise
//
// It does not look into outputs or dead letters: that they have as many lines
// as Counts says was checked when the result was decoded. It does not compare
// a duplicate's outputs with those it has: the first result stays. It knows
// nothing of leases; a result of an older epoch is as good as any.
//
// # The folder
//
//	log-00000, log-00001 …    the log: results, claims, fences, removals, merges, in the order of their commits
//	log.index                 a summary of the log; it may be removed, and is made again
//	output.jsonl, dead.jsonl  outputs and dead letters in input order, merged by Finish
//
// A commit appends records to the log and syncs it once; then it is answered. The
// read side has a table in memory that says where each piece's record is.
//
//	append frames ──▶ sync log (and folder, for a new part) ──▶ table, answer ──▶ now and then: a block of the index
//
// Files: frame.go and record.go have the format, log.go appends, recover.go reads the
// log when a folder is opened, index.go is the summary that shortens this, table.go
// what is kept in memory, read.go and reader.go read, merge.go writes the ordered files.
//
// # What opening the folder makes of the log
//
// Frames have checksums that cover those before them, and commits have numbers. The
// next commit, the next part, and the block of the index are written only when a
// commit's sync is through. So there is a proof for every commit but the last one. If
// one with a proof is not as it was written, the folder is refused, with file and byte,
// and nothing is changed (ErrDamaged): to cut there would destroy what was promised.
// If the last one is not whole and nothing proves it, a power cut or a kill ended it
// before it was answered, and opening cuts it off. Any blocks of it may be
// missing, later ones may be there: nothing of it counts.
//
// The frames that the index tells of are not read, and bodies only of the last commit.
// They are checked when they are read: by Finish, by verify, by who downloads.
// Damage in the last commit of a process that was killed before it wrote a block looks
// like a commit that was never answered; its chunks are mapped again.
//
// A commit that a killed process, or one whose sync failed, has left in memory is
// written once more and synced before anybody is told of it. All of this counts on the
// disk to write a sector of 512 bytes as a whole or not at all, and never to touch others.
//
// A sync that fails is never tried again on the same descriptor, for the
// kernel may have thrown the pages away and will say yes: the Folder is broken
// (ErrBroken), and the process must end. A full disk is only a write that
// fails: the log goes back to its committed end.
//
// The lock on log-00000 (flock) lets one saver in, or several readers. Locks on
// network file systems may be a matter of one host only: do not put a folder
// there.
//
// # Costs
//
// A commit is one write, mostly, and one sync. Memory: 24 bytes a chunk, about 32 more for
// each piece of a chunk that came in several, and buffers of 512 KiB for writing and for
// reading. On disk a piece takes, beside its bytes, some 130 in the log and 32 (of a chunk in
// pieces: 44) in the index. Opening takes the time to read the index and the records
// that it does not have. go test -bench . measures all of it.
package sink
