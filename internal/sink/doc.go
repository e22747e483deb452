// Package sink keeps the results of a job, each chunk once. It is the only
// truth about what is done: nothing else in chunkline has a disk.
//
// # What every sink promises
//
// When Commit says committed, the result survives a power cut, and no second
// copy of the chunk will ever be visible. A group of results becomes visible as
// a whole or not at all. When Commit says ErrFull, nothing of the group is
// there. Finish says done only if every chunk and every ordinal is there. The
// suite in sinktest holds every kind to that.
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
//	index.db                   bbolt: where each chunk lies, its digest, counts, checksums; plan, epoch, key
//	parts/results-00000.jsonl  outputs, in the order of the commits
//	parts/dead-00000.jsonl     dead letters, likewise
//	output.jsonl, dead.jsonl   the same in input order, merged by Finish
//
// A commit goes this way, and each arrow waits for the one before:
//
//	append to parts ──▶ sync parts (and parts/, for a new file) ──▶ index transaction ──▶ answer
//
// so the index never speaks of bytes that are not on the platter. What lies in
// the parts behind the committed end was never answered, and opening the
// folder cuts it off. Everything before that end is read and compared with its
// checksum, and when something is wrong, the folder is refused and nothing is
// changed (ErrDamaged): cutting there would destroy what was promised.
//
// bbolt has no checksums but on its two meta pages. So each of its values carries
// one that covers the key too, the sums over all records are kept and compared,
// and the structure of its pages is checked before bbolt sees them (checkPages). A
// rotten newest meta page looks like one that was being written when the power
// went; bbolt then falls back one transaction. After a clean Close and after every
// opening the two say the same, so that costs nothing; after a kill it costs the last
// group, which Recovered.FellBack reports. Not noticed is an index.db that was
// put back from an older copy: what was committed since is cut off.
//
// What a killed process left in memory, half way to the disk, the next one makes
// durable before it builds on it: the folders above, the meta pages of the index,
// the cut. All of this counts on the disk to write a sector of 512 bytes as a
// whole or not at all, and never to touch others.
//
// A sync that fails is never tried again on the same descriptor, for the
// kernel may have thrown the pages away and will say yes: the Folder is broken
// (ErrBroken), and the process must end. A full disk is only a write that
// fails: the parts go back to their committed end, the index is opened anew.
//
// The lock on index.db (flock) lets one saver in, or several readers. Locks on
// network file systems may be a matter of one host only: do not put a folder
// there.
//
// # Costs
//
// Measured with go test -bench . on 2 cores (AMD EPYC), ext4, where a sync takes
// 0.3 ms; results of 15 KB, which is 100 objects of 150 bytes:
//
//	Commit, groups of 1      2,200 chunks/s    33 MB/s
//	Commit, groups of 16    25,000 chunks/s   380 MB/s
//	Commit, groups of 128   33,000 chunks/s   500 MB/s
//	open, data in memory     4.5 GB/s; else the speed of the disk: 1 TB at 500 MB/s takes half an hour
//	Finish                   0.9 GB/s
//
// The index takes up to 170 bytes a chunk. Memory does not grow with the
// number of chunks: a buffer of 512 KiB for each series of parts, one for
// reading, and 16 bytes for each part of 1 GiB; the index is mapped, not read.
package sink
