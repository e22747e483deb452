// Package pipeline runs a whole job in one process: an embedded NATS server,
// a fetcher, a mapper with some workers and a saver. They are the same roles
// that run as separate processes, and they talk over the same protocol, so
// mappers on other machines can join.
//
// The embedded server shares the fate of the process. What survives it is the
// sink: the same job started again goes on where it was.
package pipeline
