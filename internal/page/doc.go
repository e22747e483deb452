// Package page serves the fetcher's live page and the JSON API behind it.
//
// The page shows changes of the fetcher's state within a second. It loads nothing from other servers and has no build
// step. It costs the fetcher little: each second's report is made once for all viewers, and only if there are any. The
// API changes nothing, except for POST /api/control, which is off unless a token is set.
//
// docs/api.md describes the requests.
package page
