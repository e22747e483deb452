// Command lanes runs the project's checks. It exits with 0 only if every lane has run and
// passed: a lane that cannot run fails, and none is skipped.
//
//	go run ./test/lanes ci              what a change must pass to land
//	go run ./test/lanes all             everything, at full length: make prove-all
//	go run ./test/lanes all sim crash   some lanes, and the lanes that they need
//	go run ./test/lanes -list all       the lanes and their commands
//
// A lane is one shell command (see table.go). It passes if the command exits
// with 0. When a lane fails, the others go on. At the end lanes prints a table of
// how long each took, and then, for each lane that failed, the first lines of each
// test that failed (or else the last lines of its output) and the command that
// repeats it; the exit code is then 1.
//
// # What runs beside what
//
// A lane waits (for leases to expire, for pods to start), or computes, or runs
// alone. One lane that waits runs at a time, at normal priority, because what
// it waits for has deadlines. Beside it runs one lane that computes, at a lower
// priority, with what the other one leaves. A lane that computes and has
// deadlines of its own runs alone. The lane that is expected to end last, with
// the lanes that need it, starts first.
//
// Each lane has a folder of its own as TMPDIR, and GOFLAGS with -trimpath, so
// that a fresh clone uses what other clones have compiled. Ports come from
// test/loopback, namespaces and containers are named after what they test.
package main
