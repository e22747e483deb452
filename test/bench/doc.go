// Package bench compares chunkline with bare core NATS on the same work: each line of a
// generated file of users goes through the transform users and ends, synced, in one file.
// A run with a wrong output is an error, so there is no figure of a wrong result.
//
//	go test -tags bench -count=1 -timeout 2h ./test/bench -objects 1000000 -mappers 10 -runs 3
//
// Both sides run as separate processes on loopback, each with a nats-server
// of its own, one after the other (A B A B …):
//
//	chunkline  fetcher   → nats-server → N mappers    → nats-server → saver (folder)
//	bare       publisher → nats-server → N forwarders → nats-server → receiver
//
// # The bare side
//
// The bare side does the work with as little as possible. The publisher reads lines and
// publishes 100 of them as a message. Forwarders in a queue group run the transform on
// each line and publish the results. The receiver appends them to a file as they arrive,
// and syncs it once. Core NATS drops messages for a slow subscriber, so the publisher has
// at most 256 messages under way: after every 32 the receiver reports how many it has.
// That is one small message for 3,200 lines. It keeps every buffer far below the limit at
// which client or server drop messages (64 MiB), and no process waits for the answer to a
// single message. The bare side checks nothing, keeps no order, and loses lines if a
// process dies.
//
// # What is measured
//
// The time is from the start of the first role to the exit of the fetcher or receiver,
// when the result is durable. So it includes starting the processes, in the order in
// which they need each other, and for chunkline merging the ordered output. It does not
// include starting the nats-server, generating the input and checking the result. CPU
// seconds are the user and system time of all processes, including the nats-server, from
// start to exit. Peak memory is the largest resident size of a process.
//
// A figure is the median of the runs of its side. A ratio is the median of the ratios of
// neighbouring runs, because both runs of a pair see about the same other load on the
// machine.
//
// The output of chunkline must be the transform of the input byte for byte; the bare
// output must be the same lines in any order.
//
// # Limits
//
// Everything runs on one machine: N mappers share fewer CPUs, loopback has no latency,
// and all processes compete for the same cores. So objects/s mainly measures the total
// work per object. The output is on the disk of the temporary folder ($TMPDIR); on a
// tmpfs a sync costs nothing. On Linux the peak memory of a child is never below that of
// this process when it starts the child, about 10 MiB, so smaller figures cannot be
// measured. The figures include start-up, about 10 ms of CPU for a process: with fewer
// than 100,000 users they measure mostly that.
package bench
