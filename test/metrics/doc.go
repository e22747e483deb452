// Package metrics checks what all roles together say in their metrics: that
// docs/metrics.md is what the code declares, and that each one moves in a job.
// It has tests only.
//
// docs/metrics.md is written anew by
//
//	go test ./test/metrics -run TestDocs -update
package metrics
