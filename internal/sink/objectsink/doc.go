// Package objectsink stores the results of a job in object storage: in a bucket of S3, Google Cloud Storage or Azure,
// or of a server with the interface of one. Package sink describes what every sink promises.
//
// # Objects
//
//	PREFIX/.chunkline/log/00000000000000000001    the log, one immutable object for each commit
//	PREFIX/part-000001-GENERATION.jsonl           the outputs in input order, made by Finish
//	PREFIX/_dead-000001-GENERATION.jsonl          the dead letters, likewise
//	PREFIX/_manifest.json                         lists the parts; written last
//
// Parts with outputs may be tables, whose columns depend on all outputs. So Finish reads the outputs twice then.
//
// Programs that read folders, such as Spark, Hive and Trino, skip names that begin with "_" or ".".
//
// # A commit is one object
//
// An entry of the log holds everything that a commit changes: claims, fences, results, removals, the steps of Finish.
// It is created only if its number is free. So the entries have one order, and two savers cannot both write number N.
// The saver that finds N taken has lost: it reads the other's entry, decides about its own results again, and writes
// N+1. It needs no lock, and a saver that was believed dead does no harm.
//
//	decide ──▶ create entry N ──▶ apply it to the table, answer
//	   ▲             └── taken by another ──▶ read and apply entry N
//	   └────────────────────────────────────────┘
//
// If the answer to a write is lost, the sink reads the object back. If its bytes are the written ones, the commit
// succeeded; each entry has a random nonce, so another saver's entry is never equal. If the object cannot be read
// either, the answer is sink.ErrUnreachable; the next change finds the entry, if it was stored, as one of another
// saver.
//
// A server that ignores the condition of a write would destroy all this, so opening tests it: writing entry 1 again
// must fail.
//
// # Finish
//
// Each result of Finish is a generation with a random name. Its name is in the log before its first part is written, so
// parts are known to be the job's. The manifest is replaced when all parts are there; then the parts of older
// generations are deleted. A reader of the manifest sees the old generation or the new one. After a crash in between,
// the next Finish continues: it writes the same bytes under the same names, and compares what is there already.
//
// Savers that finish at the same time share a generation. If they cannot, because their settings or versions differ,
// the order of the log decides: no saver deletes a part of a newer generation than its own, or replaces its manifest.
//
// # Damage
//
// Each entry has its number, the ID of its sink, and checksums. Opening reads the records of all entries and the sizes
// of the objects; bodies are checked when they are read, and so are parts, by verify. A missing entry before the last
// one, and one that was cut or changed, is sink.ErrDamaged. If the newest entries are deleted, nothing shows that they
// existed.
//
// # Costs
//
// A commit is one request, plus one read for each commit of another saver; one that changes nothing is a read. Opening
// is a request for each entry, 16 at a time. Memory: 24 bytes a chunk, a copy of the group that is committed, 32 MiB of
// entries that were read, and a part of the outputs while Finish writes it. The bucket holds the results twice:
// compressed in the log, and in the parts.
package objectsink
