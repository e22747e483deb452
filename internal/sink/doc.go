// Package sink stores the results of a job, each object's once. It alone knows which chunks are done: no other part of
// chunkline keeps state on disk.
//
// A result belongs to a piece: consecutive objects of one chunk, usually all of them.
//
// # What every sink promises
//
// When Commit returns Committed, the result survives a power cut, and no second result of its objects will ever be
// visible. A piece is a Duplicate if all its objects are committed, whatever pieces they came in; a piece is dropped as
// a whole if only some are. A group of results becomes visible as a whole or not at all. When Commit returns ErrFull,
// nothing of the group is stored. Finish succeeds only if every chunk and every ordinal is there. The suite in sinktest
// checks every kind of sink for this.
//
// # What it does not promise
//
// It does not examine outputs or dead letters, unless the outputs become a table (refuse.go): decoding the result has
// already checked their number of lines against Counts. It does not compare a duplicate's outputs with the stored ones:
// the first result stays. It has no notion of leases; results of older epochs are accepted.
//
// # The folder
//
//	log-00000, log-00001 …    the log: results, claims, fences, removals, merges, in the order of their commits
//	log.index                 a summary of the log; it may be removed, and is made again
//	output.jsonl, dead.jsonl  outputs and dead letters in input order, merged by Finish; the outputs may have another name,
//	                          whose end selects compression and a table (format.go)
//
// A commit appends records to the log, syncs it once, and then returns. Reads use a table in memory that maps each
// piece to the position of its record.
//
//	append frames ──▶ sync log (and folder, for a new part) ──▶ table, answer ──▶ now and then: a block of the index
//
// Files: frame.go and record.go define the format, log.go appends, recover.go reads the log when a folder is opened,
// index.go is the summary that makes this faster, read.go and reader.go read, merge.go and mergetable.go write the
// ordered files, follow.go writes the outputs to a stream while the job runs. failure.go describes the effects of
// failed syncs, full disks and damage. Other kinds of sinks share the rules of claims (claim.go, base.go), of a group's
// outcomes (outcome.go) and of a complete job (gaps.go), the table in memory (table.go), and the reads that use it
// (view.go).
//
// # How opening the folder treats the log
//
// Each frame's checksum covers the frames before it, and commits have numbers. The next commit, the next part, and the
// block of the index are written only after a commit's sync. So every commit but the last one is proven durable. If a
// proven commit cannot be read back as written, opening fails with file and byte (ErrDamaged), and nothing is changed:
// truncating the log there would destroy committed results. If the last commit is incomplete and unproven, a power cut
// or a kill interrupted it before it was answered, and opening truncates it. Any of its blocks may be missing while
// later ones are present: nothing of it counts.
//
// Opening does not read the frames that the index covers, and reads bodies only of the last commit. Others are checked
// when they are read: by Finish, by verify, by a download. If a process was killed before it wrote a block, damage in
// its last commit looks like a commit that was never answered; its chunks are mapped again.
//
// A process that was killed, or whose sync failed, may leave a commit in the page cache only. Opening writes it again
// and syncs it before anyone can see it. All of this assumes that the disk writes a sector of 512 bytes atomically and
// never alters other sectors.
//
// A failed sync is never retried on the same descriptor, because the kernel may have dropped the pages and would report
// success. The Folder is then broken (ErrBroken), and the process must end. A full disk only makes a write fail: the
// log is truncated to its committed end.
//
// The lock on log-00000 (flock) admits one saver or several readers. On network file systems locks may work within one
// host only, so do not put a folder there.
//
// # Costs
//
// A commit is usually one write, and one sync. Memory: 24 bytes a chunk, about 32 more for each piece of a chunk that
// came in several, and buffers of 512 KiB for writing and for reading. On disk a piece takes, besides its bytes, about
// 130 in the log and 32 in the index (44 if it is not a whole chunk). Opening reads the index and the records after its
// end. go test -bench . measures all of it.
package sink
