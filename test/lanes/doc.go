// Command lanes runs the project's checks. It exits with 0 only if every lane has run and
// passed: a lane that cannot run fails, and none is skipped.
//
//	go run ./test/lanes ci              what a change must pass to land
//	go run ./test/lanes all             everything, at full length: make prove-all
//	go run ./test/lanes all sim crash   some lanes, and the lanes that they need
//	go run ./test/lanes -list all       the lanes and their commands
//
// A lane is one shell command (see table.go). It passes if the command exits with 0. When
// a lane fails, the others continue. At the end lanes prints a table with the time of each
// lane. For each failed lane it prints the first lines of each failed test (or else the
// last lines of the output) and the command that repeats the lane; the exit code is
// then 1.
//
// # Lanes at the same time
//
// A lane waits (for leases to expire, for pods to start), or computes, or runs alone. At
// most one lane that waits runs at a time. It runs at normal priority, because it has
// deadlines. Beside it runs at most one lane that computes, at a lower priority. A lane
// that computes and has deadlines runs alone. The lane that is expected to end last,
// including the lanes that need it, starts first.
//
// Each lane has its own TMPDIR, and GOFLAGS with -trimpath, so that a fresh clone uses what other clones have compiled,
// and -vet=off, as the lanes test and lint vet. While lanes run, the kernel uses huge pages. Ports come from
// test/loopback; namespaces and containers are named after their test.
package main
