// Package process has what the programs that chunkline starts have in common: how a
// command is written, what environment they get, that they run in a group of their
// own which can be killed as a whole, and that orphans are reaped without taking the
// exit status from the owner of a process.
//
// It does not talk to the programs.
package process
