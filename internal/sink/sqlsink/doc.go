// Package sqlsink keeps the results of jobs in a database: SQLite or PostgreSQL. What every sink promises is said
// in package sink.
//
// # Tables
//
//	outputs(job, ordinal, part, value)     one row an output; part counts the outputs of an object from 0
//	dead_letters(job, chunk, ordinal, letter)
//	progress(job, chunk, start, …)         one row a committed piece
//	chunkline_jobs, chunkline_fetchers, chunkline_versions    plan, key, epoch, totals; claims; fences and transforms
//
// All of them are made when they are missing. Other tables of these names are left alone, and the sink is refused.
// Numbers that Go has as uint64 are columns of 64 bits with a sign, so ordinals and chunks end at 2^63-1.
//
// With the setting table, outputs go into a table of the user instead (table.go), and the lines of a piece are kept
// compressed in its row of progress: without them, nobody could say later what a row was made of.
//
// # A change is one transaction
//
// It locks the job's row of chunkline_jobs first, and ends by writing it. So changes of one job come one after the
// other, whichever process makes them. Several savers of a job are for when one of them fails; they write no faster than one.
// There is no deadlock among them, because each takes that one lock before any other. Other programs may lock rows of
// the user's table, so a deadlock or a failed serialisation is tried again.
//
// A transaction whose end is not known, since the connection broke, is made again from its beginning. It then finds
// what it had committed: the pieces are duplicates. So a database that is killed, restarted, cut off or full costs
// time and nothing else. A database that cannot be reached for some seconds is answered with sink.ErrUnreachable.
//
// Each change counts up chunkline_jobs.changes. A database with a lower count than the one that this process has seen
// has lost what was committed, as a standby that was promoted without synchronous replication may have: that is
// sink.ErrDamaged.
//
// # Costs
//
// PostgreSQL gets rows by COPY, SQLite by statements of many rows. A commit takes five round trips, whatever its
// size. Memory: a group of results once more.
package sqlsink
