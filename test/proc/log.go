package proc

import "strings"

// FellSilent counts how often a fetcher has given up a mapper that was not heard for
// 3 s, though its connection stood. On a machine that stands still such a mapper may
// live, and what it held is handed out again: a test counts that only if this is 0. A
// mapper that has ended is given up because it has no connection.
func (p *Process) FellSilent() int { return strings.Count(p.Log(), `"mapper fell silent`) }

// CheckOutages fails the test if a role has said twice of one outage that it has no
// connection to NATS.
func (p *Process) CheckOutages() {
	p.t.Helper()
	lasts := false
	for line := range strings.Lines(p.Log()) {
		switch {
		case strings.Contains(line, `"connected to NATS again`):
			lasts = false
		case !strings.Contains(line, `"no connection to NATS`):
		case lasts:
			p.t.Errorf("%s said twice of one outage that there is no connection to NATS: %s", p.Label, line)
		default:
			lasts = true
		}
	}
}
