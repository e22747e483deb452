// Package bustest provides an in-memory network with faults for tests, and the suite that every bus.Transport must
// pass.
//
// # The network
//
// A Memory carries messages between connections of one process as NATS does: in order per publisher, to one member of
// each queue group and to every subscriber without one. It does not store messages for later subscribers. A hook
// decides the fate of each message and answer on its way to each receiver: lost, doubled, delayed, out of order or
// damaged. Connections can break, reconnect and crash.
//
// A Memory waits on channels and timers only, and holds no lock while it waits. So it works inside a testing/synctest
// bubble, where time is simulated.
//
// # What it does not promise
//
// The same seed gives the same faults only if messages come in the same order, which depends on the scheduler.
package bustest
