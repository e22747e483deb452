// Package page is the fetcher's live page and the JSON behind it.
//
// It promises to show within a second what the fetcher knows, on a page that
// needs nothing from elsewhere and no build step, and to cost the fetcher next to nothing:
// whoever watches, and however many do, each second's report is made once, and
// none is made when nobody watches. It changes nothing, but for POST
// /api/control, which is off unless a token is set.
//
// docs/api.md describes the requests.
package page
