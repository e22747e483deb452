// Package bench measures chunkline against programs that do the same work, and
// prints each ratio with its aim. A run whose output is not the transform of
// its input is an error, and gives no figure.
//
//	go test -tags bench -count=1 -timeout 2h -v ./test/bench -objects 1000000 -runs 5 -rows quick,wait-16
//
// A row is one way to do a job; rows_test.go has the table of them. All chosen
// rows run one after the other, then all of them again, -runs times. Rows that a
// chosen one is compared with are chosen too. A ratio compares two rows of the same
// run, so other load on the machine, which affects both, mostly cancels out. The
// tables at the end show medians over the runs.
//
// # Quick work
//
// Every line of a file of users goes through the transform users, or identity, into
// one synced file. The floor (package floor) and core NATS around it (package
// corenats) share no code with chunkline. They do only what is necessary to keep a
// bounded amount of work under way and to give credit for synced results only.
// The row floor-own has chunkline's parser, a larger window and one sync at the
// end. JetStream stores chunks and results in a work queue each.
//
// The clock runs from the start of the first role to the exit of the role after
// which the result is durable. So it includes starting the processes, in the order
// in which they need each other, and merging chunkline's ordered output. It does
// not include starting nats-server, making the input and checking the result. CPU
// seconds are the user and system time of all processes, including nats-server, from
// start to exit. Peak memory is the kernel's peak resident size of a process.
//
// Outputs of chunkline and of single programs must be the transform of the input
// byte for byte; those of the floors and of JetStream may have another order.
//
// # Waiting work, trouble, slow work
//
// Here the transform waits, so the figures depend less on the machine's speed. The mappers run before the clock starts;
// it runs from the start of the fetcher to its exit, and for JetStream from the start of the publisher to the exit of
// the receiver. The ideal is the work divided by the number of workers, including a mapper that is killed or slow.
//
// In slow work each worker's program logs when it finishes an object. A worker
// idles at the end from its last object until no other worker has two objects
// left: after that, no object is left that it could have been given.
//
// # Limits
//
// One machine: many mappers on few CPUs take turns, loopback has no latency, and
// all processes compete for the same cores. The output is on the disk of the
// temporary folder ($TMPDIR): on a tmpfs a sync costs nothing. On Linux a child's
// peak memory is at least what this process uses when it starts the child, about
// 15 MiB. With fewer than 100,000 users the start of processes dominates.
package bench
