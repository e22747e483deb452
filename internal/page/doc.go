// Package page serves the fetcher's live page and the JSON API behind it.
//
// The page shows within a second what the fetcher knows. It loads nothing from other
// servers and has no build step. It costs the fetcher next to nothing: each second's
// report is made once for all viewers, and not at all if there are none. The API
// changes nothing, except for POST /api/control, which is off unless a token is set.
//
// docs/api.md describes the requests.
package page
