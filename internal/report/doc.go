// Package report holds the reports about a job and the functions that compute them. Everything here is a plain value or
// a pure function: no clock, no lock, no I/O. Times are arguments.
//
//	status.go      Status, with the mappers, versions and stragglers in it
//	bottleneck.go  what keeps the job from being faster, with a hint for people
//	rates.go       objects per second, progress and the time left
//	history.go     how many objects were saved by when
//	lists.go       dead letters, the shadow run's differences, the map of chunks
//
// The fetcher fills these types in. internal/wire encodes them as messages, and the live page and `chunkline status`
// show them. docs/api.md documents their JSON.
package report
