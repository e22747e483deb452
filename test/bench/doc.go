// Package bench gives no figure of a wrong result: a run whose output is not the
// transform of its input is an error. It measures what chunkline costs beside
// bare core NATS on the same work: every line of a generated file of users goes
// through the transform users and ends, synced, in one file.
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
// The least that core NATS can do the work with. The publisher reads lines and
// publishes 100 of them as a message; forwarders in a queue group run the
// transform on each line and publish the results; the receiver appends them to
// a file as they come and syncs it once. As core NATS drops what a slow
// subscriber cannot take, the publisher has at most 256 messages under way:
// the receiver says after every 32 how many it has. That is one small message
// for 3,200 lines, keeps every buffer far below the limit at which client or
// server drop (64 MiB), and makes nobody wait for an answer to one message. It
// checks nothing, keeps no order, and a process that dies loses lines.
//
// # What is measured
//
// The clock runs from the start of the first role to the exit of the fetcher
// or receiver, when the result is durable. So it includes starting the
// processes, in the order in which they need each other, on both sides, and on
// chunkline's side laying out the ordered output. It does not include starting
// the nats-server, making the input and checking the result. CPU seconds are
// user and system time of all processes from start to exit, the nats-server
// too. Peak memory is the kernel's largest resident size of a process.
//
// A figure is the median of its side's runs. A ratio is the median of the
// ratios of neighbouring runs, so that other load on the machine, which both
// runs of a pair see, falls out of it as far as it can.
//
// Chunkline's output must be the transform of the input byte for byte, the bare
// output must be the same lines in any order.
//
// # Limits
//
// One machine: N mappers on fewer CPUs take turns, loopback has no latency,
// and all processes compete for the same cores, so objects/s is total work per
// object more than anything. The output is on the disk of the temporary
// folder ($TMPDIR): on a tmpfs a sync costs nothing. On Linux a child's peak
// memory is never below what this process has when it starts the child, about
// 10 MiB, so a smaller figure cannot be seen. Start-up, about 10 ms of CPU for
// a process, is in the figures: fewer than 100,000 users measure mostly that.
package bench
