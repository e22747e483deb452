// Package rollout decides how much work each version of the mappers gets while several versions run side by side. A
// version is the name that mappers send as VERSION.
//
//   - Share: a version takes at most its share of the chunks (VERSION_SHARES).
//   - Circuit breaker: a version whose objects fail too often stops getting chunks until a probe succeeds (BREAK_AT,
//     BREAK_FOR).
//   - Shadow sampling: a version gets copies of saved chunks and no other work (SHADOW).
//
// A Table holds every version and combines the three: Eligible reports whether a version may get a chunk, Serves
// whether it gets regular work at all.
//
// The package is pure policy. It has no clock, goroutine, lock or I/O. One goroutine owns a Table and passes the time
// in.
//
// # Circuit breaker
//
//	       more than BREAK_AT of the objects in the last chunks failed
//	closed ─────────────────────────────────────────────────────────▶ open ◀──┐
//	  ▲                                                                │      │
//	  │                                           BREAK_FOR has passed │      │ the probe failed:
//	  │                                                                ▼      │ BREAK_FOR is doubled
//	  └──────────── the probe succeeded, or an operator resets ─── half-open ─┘
//
// A closed breaker lets every chunk through, an open one none, a half-open one a single chunk at a time: the probe.
//
// # Defaults
//
// A breaker counts the failures in the last 20 chunks of a version. It needs at least 5, because a single bad chunk may
// be a coincidence. BREAK_AT is 0.5: bad data rarely reaches that share, and a broken release reaches it at once.
// BREAK_FOR is 30 s, so that a person or a rollout controller can react. It doubles at most 5 times, so a version that
// was repaired meanwhile waits 16 minutes at most.
package rollout
