// Package bus sends and receives the messages of internal/wire over core NATS. It is
// the only package that imports nats.go.
//
//	role ── wire.Message ──▶ Bus ──────────▶ Transport ──▶ NATS, or bustest's memory
//	                         parts,          single
//	                         max_payload     messages
//
//	bus.go         Bus: request, publish; errors of services
//	serve.go       services, their endpoints, replies
//	parts.go       messages larger than max_payload: the requester's side
//	hold.go        … and the responder's side, with its bounds for memory
//	maxpayload.go  how large a message may be: each server's max_payload, and probing
//	transport.go   the interface to NATS, and the errors of this package
//	config.go      NATS_* settings: addresses, credentials, TLS
//	connect.go     connecting, reconnecting, looking up names
//	link.go        whether the connection is up, round trips, what the server denies
//	conn.go        requests and publishing on a connection
//	listen.go      subscriptions, `nats micro` discovery
//	server.go      the embedded NATS server
//
// # Promises
//
//   - A Request ends with exactly one of: an answer of this protocol; an error that
//     says what is known, such as ErrNobody; or the error of its context, by the
//     context's deadline, also if the server is frozen. An error that a service
//     reports is an error, never an answer.
//   - A request or an answer above max_payload travels in parts, up to
//     wire.MaxMessage. Parts that are lost, repeated, late or out of order do no
//     harm; a checksum of the whole body decides.
//   - The handlers of one endpoint run one at a time, and none runs once the
//     service's stop function has returned nil.
//   - Online, Closed, Err and Stats never wait for the connection.
//   - Memory is bounded: requests in parts until they are answered, and answers in
//     parts until they are fetched, by Bound; everything else by the pending limits of
//     its subscription.
//
// # What is not promised
//
// Delivery. A message may be lost, repeated, late or out of order, and a request that
// timed out may have been carried out. Repeating is safe only because every message
// of chunkline is idempotent. Messages are never stored: a publish without a
// connection fails with ErrOffline.
//
// Defaults that are not ours are those of nats.go 1.55 and nats-server 2.15: a
// max_payload of 1 MiB, pending limits of 64 MiB.
package bus
