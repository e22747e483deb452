// Package corenats moves lines through core NATS with nothing around it: no
// ledger, no redelivery, no order. It shares no code with chunkline, which is measured
// against it, and the caller decides what happens to a line.
//
//	publisher → nats-server → N forwarders → nats-server → receiver
//
// The publisher reads lines and publishes 100 of them as a message. Forwarders
// in a queue group map them and publish the results. The receiver appends the
// results to a file as they come.
//
// Core NATS drops messages for a slow subscriber, so the publisher has at most a
// window of messages under way: the receiver gives it credit for results that it has
// written, and, unless Late is set, synced. Nothing is checked, and a process that
// dies loses lines.
package corenats
