// Package mapper is the role that transforms objects. A mapper runs some workers, and each of them goes through the
// same steps, over and over:
//
//	ask.go         reserve memory (memory.go), then ask the fetcher for work, and report how long one object takes (pace.go)
//	state.go       take the pieces of the grant into the list of what the mapper holds
//	worker.go      map the pieces of the grant, and collect their results (grant.go)
//	map.go         transform the objects of a piece, one after the other (transform.go)
//	save.go        send the results to the saver until the saver confirms them
//
// The worker does not wait for the confirmation: it maps its next grant while the results are on their way. A piece
// stays in the list until the saver has answered. The worker asks for its next grant 10 ms before the current one is
// expected to end (ahead.go), so the time of the request does not count.
//
// A grant of several pieces is sized to take 25 ms. If it takes much longer, the worker sends the finished results, and
// gives back the pieces that it has not begun, so that no piece waits inside a busy mapper while another one idles.
//
//	heartbeat.go   every second the mapper reports to the fetcher that it is alive and what it holds
//	failures.go    which objects have failed so far, for the heartbeat
//	hello.go       a fetcher that starts to serve sends a hello, and all idle workers ask at once
//	backoff.go     how long a worker pauses without work or an answer, and what is logged then
//	drain.go       how a mapper stops
//
// Each request for work and each heartbeat carries the whole list of what the mapper holds. So messages may be lost,
// repeated or reordered.
//
// A mapper that is stopped asks for no more work, finishes the pieces that it holds within StopTimeout, gives back the
// rest and says goodbye. The fetcher notices within three seconds that a mapper has died without a goodbye.
//
// # What it does not promise
//
// A piece may be mapped more than once, here or elsewhere. The saver keeps the first result and drops the others.
package mapper
