// Package metrics declares what the roles count and measure, in one form, so
// that /metrics, docs/metrics.md and the tests cannot say different things.
//
// A Set is the metrics of one role. Each is declared once, with its help and
// the values that its labels can have. A label has few values, known before
// the program runs: never an ID, a payload or an address. The one exception is
// a version, which people choose; Versions bounds how many there can be.
package metrics
