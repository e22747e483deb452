// Package hostile runs real jobs with an attacker on the bus: a plain NATS client that
// receives all messages, and forges, replays and mutates messages or floods the bus.
//
// On an open bus the attacker can stop, take over or pause a job, and spoil the content
// of the chunks whose tokens it sees; docs/protocol.md says so. It must not be able to
// make the roles lose a chunk, confirm it wrongly or hand it out wrongly, end a role
// by anything but an order, or make a role grow without bound. With a mapper's
// permissions it cannot even stop, take over or pause a job.
package hostile
