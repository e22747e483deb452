// Package pipeline runs a whole job in one process: an embedded NATS server, a fetcher, mappers and a saver. They are
// the same roles that run as separate processes, and they use the same protocol, so mappers on other machines can join.
//
// The embedded server ends with the process. Only the sink survives: the same job, started again, continues where it
// stopped.
package pipeline
