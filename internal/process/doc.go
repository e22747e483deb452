// Package process starts programs for the transform exec and the source cmd. It parses the command, provides an
// environment without secrets, runs the program in its own process group, which can be killed as a whole, and reaps
// orphans without taking the exit status of a process from its owner.
//
// The input and output of a program belong to its caller.
package process
