// Package sqlsink stores the results of jobs in a database: SQLite or PostgreSQL. Package sink describes what every
// sink promises.
//
// # Tables
//
//	outputs(job, ordinal, part, value)     one row an output; part counts the outputs of an object from 0
//	dead_letters(job, chunk, ordinal, letter)
//	progress(job, chunk, start, …)         one row a committed piece
//	chunkline_jobs, chunkline_fetchers, chunkline_versions    plan, key, epoch, totals; claims; fences and transforms
//
// Missing tables are created. If tables of these names have other columns, they are left unchanged and opening fails.
// The columns for uint64 numbers are signed 64-bit integers, so ordinals and chunks end at 2^63-1.
//
// With the setting table, outputs go into a table of the user instead (table.go), and the lines of a piece are kept
// compressed in its row of progress: otherwise the lines could not be read again as they were.
//
// # A change is one transaction
//
// It locks the job's row of chunkline_jobs first, and ends by writing it. So changes of one job are serialized across
// all processes. Several savers of a job provide failover; they write no faster than one. They cannot deadlock with
// each other, because each takes that one lock before any other. Other programs may lock rows of the user's table, so a
// deadlock or a failed serialisation is retried.
//
// If the connection breaks during COMMIT, the outcome is unknown, and the whole transaction is repeated. It then finds
// what it had committed: the pieces are duplicates. So a database that is killed, restarted, disconnected or full only
// costs time. If a database is unreachable for some seconds, the answer is sink.ErrUnreachable, and it may have made
// the change. The end of the caller's context does not interrupt COMMIT, so its error means that nothing was changed.
//
// Each change increments chunkline_jobs.changes. If the database has a lower count than this process has seen, it has
// lost commits, as after promoting a standby without synchronous replication: that is sink.ErrDamaged. With synchronous
// replication the standby has every change that was answered: each answer follows a COMMIT (see change).
//
// # Costs
//
// PostgreSQL gets rows by COPY, SQLite by multi-row statements. A commit takes about a dozen round trips, whatever its
// size. Memory: one copy of a group of results.
package sqlsink
