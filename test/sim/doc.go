// Package sim runs a whole job in one process and in simulated time: the real
// fetcher, mappers and saver on bustest's network, inside testing/synctest
// bubbles. Nothing waits for a real clock, so a minute of absence costs nothing
// and a bound on time is exact.
//
// # What it promises
//
// What happens to whom, and when, is part of each test: roles crash, fall
// silent, are replaced; messages are lost, doubled, late and damaged. In the end
// the sink is compared with the source, and what was handed out is counted.
//
// TestSeeds draws all of that from a seed (scenario, weather), plays it (crew),
// and holds every message against the invariants (watch, judge). TestEverywhere
// does each harm to each message of a small job.
//
// # What it does not promise
//
// Real NATS, real disks and real processes are for test/e2e and the suites of
// bus and sink.
package sim
