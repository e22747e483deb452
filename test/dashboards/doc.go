// Package dashboards checks the Grafana dashboards and the alerts of deploy/. Each panel
// is complete and overlaps no other, each metric and label is in docs/metrics.md, and
// each alert has a section in docs/alerts.md and a rule test that makes it fire. It has
// tests only.
//
// With the tag monitoring it also asks a Prometheus that watches a running
// job, and fails for every query that has no result there:
//
//	PROMETHEUS_URL=http://127.0.0.1:9090 go test -tags monitoring ./test/dashboards
//
// It draws nothing, so it does not check how a panel looks.
package dashboards
