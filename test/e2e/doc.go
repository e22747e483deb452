// Package e2e tests the programs as users run them: real processes, a real nats-server,
// real signals, and the commands in the console blocks of docs/.
package e2e
