//go:build long

package chaos

import (
	"slices"
	"strings"
	"testing"

	"github.com/chunkline/chunkline/test/proc"
)

// TestCredentials: in the middle of a job NATS restarts with a password. The roles
// exit and name the settings; restarted with them, they continue the job.
func TestCredentials(t *testing.T) {
	t.Parallel()
	j := newJob(t, 8_000)
	j.startNATS()
	j.startAll(2, "1s") // so that the job is not done before
	j.mappers[0].Await("piece saved")
	server := j.nats[0]
	j.kill(server)
	server.Args = append(server.Args, "--user", "joe", "--pass", "canary")
	server.Start()
	roles := slices.Concat([]*proc.Process{j.saver, j.fetcher}, j.mappers)
	for _, p := range roles {
		if code := p.Exit(); code != 3 || !strings.Contains(p.Log(), "check NATS_USER and NATS_PASSWORD") {
			t.Errorf("%s: exit code %d, want 3, naming the setting", p.Label, code)
		}
		p.Env = append(p.Env, "NATS_USER=joe", "NATS_PASSWORD=canary")
	}
	for _, p := range roles {
		p.Start()
	}
	j.Env = append(j.Env, "NATS_USER=joe", "NATS_PASSWORD=canary")
	j.hurry()
	j.finish()
	for _, p := range roles {
		if strings.Contains(p.Log(), "canary") {
			t.Errorf("%s logged the password", p.Label)
		}
	}
}
