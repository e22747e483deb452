// Package mapper is the role that transforms objects. A mapper runs some workers,
// and each of them goes through the same steps, over and over:
//
//	ask.go         reserve memory (memory.go), then ask the fetcher for a chunk
//	worker.go      take the chunk into the list of what the mapper holds (state.go)
//	map.go         transform its objects, one after the other (transform.go)
//	save.go        send the result to the saver until the saver confirms it
//
// The worker does not wait for the confirmation: it asks for its next chunk while the
// result is on its way. The chunk stays in the list until the saver has answered.
//
//	heartbeat.go   every second the mapper tells the fetcher that it is alive and what it holds
//	failures.go    which objects have failed so far, told with the heartbeat
//	hello.go       a fetcher that starts to serve says hello, and all idle workers ask at once
//	backoff.go     how long a worker pauses when it got no chunk or no answer, and what is logged then
//	drain.go       how a mapper stops
//
// Each request for work and each heartbeat carries the whole list of what the mapper
// holds. So no message has to arrive, to arrive once, or to arrive in order.
//
// A mapper that is told to stop asks for no more chunks, finishes those it holds within
// StopTimeout, gives back the rest and says goodbye. The fetcher notices within three
// seconds that a mapper has died without a goodbye.
//
// # What it does not promise
//
// A chunk may be mapped more than once, here or elsewhere. The saver keeps the
// first result and drops the others.
package mapper
