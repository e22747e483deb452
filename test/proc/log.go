package proc

import "strings"

// FellSilent counts how often a fetcher has dropped a mapper because it sent nothing for
// 3 s although it was connected. On an overloaded machine such a mapper may be alive, and
// its chunks are redelivered, so a test may check the redeliveries only if FellSilent is
// 0. A mapper that has ended does not count, because it has no connection.
func (p *Process) FellSilent() int { return strings.Count(p.Log(), `"mapper fell silent`) }

// CheckOutages fails the test if a role has logged one outage of NATS twice.
func (p *Process) CheckOutages() {
	p.t.Helper()
	lasts := false
	for line := range strings.Lines(p.Log()) {
		switch {
		case strings.Contains(line, `"connected to NATS again`):
			lasts = false
		case !strings.Contains(line, `"no connection to NATS`):
		case lasts:
			p.t.Errorf("%s logged one outage of NATS twice: %s", p.Label, line)
		default:
			lasts = true
		}
	}
}
