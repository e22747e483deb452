// Package hostile runs real jobs with an attacker on the bus: a plain NATS
// client that hears everything, and forges, replays, mutates and floods.
//
// On an open bus it may stop a job, take it over or pause it, and it may spoil
// the content of the chunks whose tokens it sees; docs/protocol.md says so. It
// must never make the roles lose, confirm or hand out a chunk wrongly, end a
// role by a message that is not that role's order, or make one grow without
// bound. With a mapper's permissions it cannot even stop, take over or pause.
package hostile
