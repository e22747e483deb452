// Package e2e tests the programs as their users run them: real processes, a
// real nats-server, real signals. Its helpers start processes on loopback and
// end only those.
package e2e
