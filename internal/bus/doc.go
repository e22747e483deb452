// Package bus carries every message of a job between fetcher, mappers, savers
// and operators, over core NATS.
//
//	role ── typed message ──▶ Message ── Bus ──▶ Transport ──▶ NATS, or bustest's memory
//	        next.go, save.go …  headers   parts    single
//	                            + body             messages
//
// # What it promises
//
//   - A decoder accepts only what is well formed, within the stated bounds and of
//     this protocol version, and never panics. What was damaged on the way is
//     ErrCorrupt, what nobody should have sent is ErrMalformed or ErrVersion.
//   - A Request ends with exactly one of: an answer of this protocol, an error
//     that says what is known (ErrNobody: it reached nobody), or the error of its
//     context, by the context's deadline, also while the server is frozen. An
//     error that a service sent is an error, never an answer.
//   - A message above the server's max_payload travels in parts, both as a
//     request and as an answer, up to MaxMessage. Parts that are lost, doubled,
//     late or out of order do no harm; a checksum over the whole decides.
//   - The handlers of one endpoint run one at a time, and none runs once the
//     service's stop has returned nil.
//   - Online, Closed, Err and Stats never wait for the connection.
//
// # What it does not promise
//
// Delivery. Any message may be lost, doubled, late or out of order, and a
// request that timed out may have been carried out. Only idempotence makes a
// repeat safe; every message of chunkline is idempotent. Messages are never
// kept: what is published while NATS is away fails with ErrOffline.
//
// # Invariants
//
//   - The requester drives a message in parts: it sends the parts of a request and
//     fetches those of an answer. A mapper never has to serve anything big.
//   - Bodies are never changed once they are in a Message, by either side, so
//     they are handed on without a copy.
//   - Memory is bounded: requests in parts, until they are answered, and answers
//     kept for fetching by Bound (maxHeld) each, everything else by the pending limits of its subscription.
//
// # Numbers
//
// max_payload (1 MiB), the pending limits (64 MiB), the ping interval and the
// flusher timeout are NATS's; nats.go 1.55 and nats-server 2.15 were read for
// each. Part size and window keep 2 MiB of one transfer under way, which fills
// 1 Gbit/s up to a round trip of 16 ms and is far below all pending limits.
package bus
