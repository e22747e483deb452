// Package metrics declares the metrics of the roles in one form, so that /metrics, docs/metrics.md and the tests agree.
//
// A Set is the metrics of one role. Each metric is declared once, with its help and the possible values of its labels.
// A label has few values, known before the program runs: never an ID, a payload or an address. The one exception is a
// mapper's version, which users choose; Versions bounds how many there can be.
package metrics
