// Package bus sends and receives the messages of internal/wire over core NATS. It is the only package that imports
// nats.go. Package natsserver provides a server inside this process.
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
//
// # Promises
//
//   - A Request ends with an answer of this protocol, or with an error. It ends by its context's deadline even if the
//     server is frozen. An error that a service reports is an error, never an answer.
//   - A request or an answer above max_payload travels in parts, up to wire.MaxMessage. Parts may be lost, repeated,
//     late or out of order; the receiver accepts a body only if its checksum is right.
//   - The handlers of one endpoint run one at a time, and none runs once the service's stop function has returned nil.
//   - Online, Closed, Err and Stats never wait for the connection.
//   - Memory is bounded. Bound limits requests in parts until they are answered, and answers in parts until they are
//     fetched. The pending limits of its subscription bound everything else.
//
// # What is not promised
//
// Delivery is not promised. A message may be lost, repeated, late or out of order, and a request that timed out may
// have been carried out. Repeating is safe because every message of chunkline is idempotent. Messages are never stored:
// a publish without a connection fails with ErrOffline.
//
// The comments refer to nats.go 1.55 and nats-server 2.15, whose defaults are a max_payload of 1 MiB and pending limits
// of 64 MiB.
package bus
