// Package report holds what people and programs are told about a job, and how
// it is computed. Everything here is a plain value or a pure function of one:
// no clock, no lock, no I/O. Times are arguments.
//
//	status.go      Status, with the mappers, versions and stragglers in it
//	bottleneck.go  what keeps the job from being faster, with a hint for people
//	rates.go       objects per second, progress and the time left
//	history.go     how many objects were saved by when
//	lists.go       dead letters, the shadow run's differences, the map of chunks
//
// The fetcher fills these types in. They travel in messages (internal/wire
// encodes them), and the live page and `chunkline status` show them. Their JSON
// is documented in docs/api.md.
package report
