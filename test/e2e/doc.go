// Package e2e tests the programs as their users run them: real processes, a
// real nats-server, real signals.
package e2e
