// Package dashboards checks the Grafana dashboards and the alerts of deploy/:
// each panel is complete and lies beside the others, each metric and label is
// one of docs/metrics.md, and each alert has a chapter in docs/alerts.md and a
// rule test that fires it. It has tests only.
//
// With the tag monitoring it also asks a Prometheus that watches a running
// job, and fails for every query that has no result there:
//
//	PROMETHEUS_URL=http://127.0.0.1:9090 go test -tags monitoring ./test/dashboards
//
// It does not draw anything: whether a panel looks well is for people to say.
package dashboards
