// Package proc starts the programs under test for other tests: real processes, a real
// nats-server, real signals. The processes listen on loopback, or in network namespaces
// of the test, and end with the test.
package proc
