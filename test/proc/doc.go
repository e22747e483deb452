// Package proc runs the programs under test as their users do: real processes,
// a real nats-server, real signals. What it starts listens on loopback, or in
// network namespaces of the test's own, and ends with the test.
package proc
