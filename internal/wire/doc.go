// Package wire is the protocol: every message between fetcher, mappers, savers and operators, and how it is encoded. It
// knows nothing about NATS; internal/bus sends and receives the messages. docs/protocol.md describes the same for
// people who write a program in another language.
//
//	message.go  headers and body, their limits, the checksum
//	verbs.go    the verbs, and what several messages have in common
//	fields.go   how a header is written and read
//	lists.go    lists of numbers in one header
//	piece.go    pieces: in a list, and in a body with the line that describes each
//	next.go     mapper → fetcher: a request for work, and its answer, a grant of pieces
//	beat.go     mapper → fetcher: the heartbeat; fetcher → mapper: an order, a hello
//	save.go     mapper → saver: results, and their answer
//	saved.go    saver → fetcher: pieces that are durable
//	sync.go     fetcher → saver: claim, list, finish, dead letters
//	control.go  operator → fetcher: status and control
//	token.go    lease tokens and signatures
//	part.go     the headers of a message that travels in parts
//
// A decoder accepts only what is well formed, within the stated bounds and of this protocol version, and never panics.
// A body that was damaged on the way is ErrCorrupt; a message that no correct program sends is ErrMalformed or
// ErrVersion; a message signed with another key is ErrForged.
//
// Once a body is in a Message, neither side may change it, so that it can be passed on without a copy.
package wire
