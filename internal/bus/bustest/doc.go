// Package bustest is for tests: a network in memory with faults, and the suite
// that every bus.Transport must pass.
//
// # The network
//
// A Memory carries messages between connections of one process as NATS would:
// in order per publisher, to one member of each queue group and to everyone
// without one, with no memory for who is not there. A hook decides the fate of
// each message on its way to each receiver, answers included: lost, doubled,
// delayed, out of order, damaged. Connections can break, come back and crash.
//
// It waits on channels and timers only, and holds no lock while it waits, so
// it works inside a testing/synctest bubble, where time is simulated.
//
// # What it does not promise
//
// The same seed gives the same faults in the same order of messages. The order
// itself is the scheduler's.
package bustest
