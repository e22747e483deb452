// Package metrics checks the metrics of all roles: docs/metrics.md matches the
// declarations in the code, and each metric changes in a job. It has tests only.
//
// To write docs/metrics.md again, run
//
//	go test ./test/metrics -run TestDocs -update
package metrics
