// Package sim runs a whole job in one process and in simulated time: the real fetcher,
// mappers and saver on the network of bustest, inside testing/synctest bubbles. Nothing
// waits for a real clock, so an outage of a minute takes no time, and time limits are
// exact.
//
// # What it promises
//
// Each test determines the faults and their time: roles crash, fall silent or are
// replaced; messages are lost, doubled, late or damaged. At the end the test compares the
// sink with the source and counts the chunks that were handed out.
//
// TestSeeds draws the faults from a seed (scenario, faults), runs the job (cluster),
// checks every message against the invariants (watch), and compares the sink with the
// source (outcome). TestEverywhere applies each
// fault to each message of a small job.
//
// # What it does not promise
//
// test/e2e and the suites of bus and sink test real NATS, real disks and real processes.
package sim
