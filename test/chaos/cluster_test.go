//go:build long

package chaos

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chunkline/chunkline/test/loopback"
	"github.com/chunkline/chunkline/test/proc"
)

// roles has the names of the roles' connections in NATS.
var roles = []string{"chunkline-fetcher", "chunkline-saver", "chunkline-mapper"}

// TestClusterKilled: NATS is a cluster of three. For each role in turn, the server that
// the role is connected to is killed or put into lame duck mode, and started again.
func TestClusterKilled(t *testing.T) {
	t.Parallel()
	histories(t, func(t *testing.T, random *rand.Rand) {
		k := newCluster(t)
		for _, i := range random.Perm(len(roles)) {
			server := k.serverOf(roles[i])
			p := k.nats[server]
			if random.IntN(2) == 0 {
				t.Logf("kill %s, where a %s is", p.Label, roles[i])
				k.kill(p)
			} else {
				t.Logf("%s leaves, where a %s is", p.Label, roles[i])
				p.Signal(syscall.SIGUSR2) // lame duck mode
				p.Wait()
			}
			k.awaitAllBut(server)
			<-time.After(time.Duration(random.IntN(1000)) * time.Millisecond) // the moment is what the seed chooses
			p.Start()
		}
		k.hurry()
		k.finish()
	})
}

// TestClusterFrozen: the server that a role is connected to is frozen, so the role
// must detect that by itself, without help from the other servers.
func TestClusterFrozen(t *testing.T) {
	t.Parallel()
	histories(t, func(t *testing.T, random *rand.Rand) {
		k := newCluster(t)
		role := roles[random.IntN(len(roles))]
		server := k.serverOf(role)
		t.Logf("freeze %s, where a %s is", k.nats[server].Label, role)
		k.nats[server].Signal(syscall.SIGSTOP)
		k.awaitAllBut(server)
		<-time.After(time.Duration(random.IntN(5000)) * time.Millisecond) // the moment is what the seed chooses
		k.nats[server].Signal(syscall.SIGCONT)
		k.hurry()
		k.finish()
	})
}

// natsCluster is a job with three NATS servers.
type natsCluster struct {
	*job

	monitor []string
}

const mappersOfCluster = 2

// newCluster starts a job that takes its mappers minutes, so that it is not done
// before the faults.
func newCluster(t *testing.T) *natsCluster {
	t.Helper()
	k := &natsCluster{job: newJob(t, 16_000)}
	k.monitor = k.startCluster()
	k.startAll(mappersOfCluster, "2s")
	k.fetcher.Await("mapper joined")
	k.awaitAllBut(-1)
	return k
}

// startCluster starts three servers on loopback. It returns the addresses of their
// monitoring endpoints.
func (j *job) startCluster() (monitor []string) {
	j.T.Helper()
	const servers = 3
	var clients, routes []string
	for range servers {
		clients = append(clients, loopback.Address())
		routes = append(routes, "nats://"+loopback.Address())
		monitor = append(monitor, loopback.Address())
	}
	j.URL = "nats://" + strings.Join(clients, ",nats://")
	config := j.config("lame_duck_grace_period: 1s", "lame_duck_duration: 30s")
	for i := range servers {
		_, port, _ := strings.Cut(monitor[i], ":")
		j.nats = append(j.nats, j.Server(fmt.Sprintf("nats-%d", i), clients[i],
			"-c", config, "-m", port, "-cluster_name", "chaos", "-cluster", routes[i], "-routes", strings.Join(routes, ",")))
	}
	return monitor
}

// clients counts the connections of each role to a server.
func (k *natsCluster) clients(server int) map[string]int {
	k.T.Helper()
	var list struct{ Connections []struct{ Name string } }
	if !proc.FetchJSON(k.T, k.monitor[server], "/connz", &list) {
		return nil // the server is starting, or frozen
	}
	n := map[string]int{}
	for _, c := range list.Connections {
		role, _, _ := strings.Cut(c.Name, " ")
		n[role]++
	}
	return n
}

// serverOf waits until a role is connected, and returns its server's index.
func (k *natsCluster) serverOf(role string) (server int) {
	k.T.Helper()
	proc.Eventually(k.T, "a connection of "+role, func() bool {
		for i := range k.monitor {
			if k.clients(i)[role] > 0 {
				server = i
				return true
			}
		}
		return false
	})
	return server
}

// awaitAllBut waits until all roles are connected to servers other than this one.
func (k *natsCluster) awaitAllBut(server int) {
	k.T.Helper()
	proc.Eventually(k.T, "all roles to be connected", func() bool {
		n := map[string]int{}
		for i := range k.monitor {
			if i == server {
				continue
			}
			for role, count := range k.clients(i) {
				n[role] += count
			}
		}
		return n["chunkline-fetcher"] == 1 && n["chunkline-saver"] == 1 && n["chunkline-mapper"] == mappersOfCluster
	})
}
