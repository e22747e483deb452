//go:build long && netns

package chaos

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/chunkline/chunkline/test/proc"
)

// TestNetwork: every role, and NATS, has a network namespace of its own. They are
// disconnected one after the other, in one direction or both, with packets dropped
// or reset, and reconnected in another order. Once all are reconnected, the job must end.
func TestNetwork(t *testing.T) {
	t.Parallel()
	histories(t, swizzle)
}

func swizzle(t *testing.T, random *rand.Rand) {
	n := newNetwork(t)
	j := newJob(t, 20_000)
	j.Prefix = n.prefix
	j.startNATSAt(n)
	j.startAll(2, "40ms")
	j.fetcher.Await("mapper joined")
	end := time.Now().Add(time.Duration(15+random.IntN(15)) * time.Second)
	for time.Now().Before(end) && !j.done() {
		play(t, drawCuts(random, n, j))
	}
	j.finish()
}

// drawCuts draws which processes are disconnected and how: a few or all, one by one, for
// longer than a lease, and at times for longer than a client takes to notice (15 s). Some
// are ended or killed meanwhile, and start without a network.
func drawCuts(r *rand.Rand, n *network, j *job) []step {
	all := j.all()
	cuts := []step{{time.Duration(r.IntN(1000)) * time.Millisecond, "calm", func() {}}}
	r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	begin := time.Duration(0)
	for _, p := range all[:1+r.IntN(len(all))] {
		begin += time.Duration(r.IntN(1000)) * time.Millisecond
		hold := time.Duration(3000+r.IntN(5000)) * time.Millisecond
		if r.IntN(8) == 0 {
			hold += 12 * time.Second
		}
		w := ways[r.IntN(len(ways))]
		cuts = append(cuts,
			step{begin, "cut off " + p.Label + ": " + w.name, func() { n.cut(p.Label, w) }},
			step{begin + hold, "connect " + p.Label, func() { n.heal(p.Label) }},
		)
		switch r.IntN(8) {
		case 0:
			cuts = append(cuts, step{begin + hold/2, "end and start " + p.Label, func() { j.end(p); p.Start() }})
		case 1:
			cuts = append(cuts, step{begin + hold/2, "kill and start " + p.Label, func() { j.kill(p); p.Start() }})
		}
	}
	return cuts
}

// way is a way to disconnect a namespace: commands that run in it.
type way struct {
	name     string
	commands []string
}

var ways = []way{
	{"nothing comes in", []string{"iptables -A INPUT -i eth0 -j DROP"}},
	{"nothing goes out", []string{"iptables -A OUTPUT -o eth0 -j DROP"}},
	{"black hole", []string{"iptables -A INPUT -i eth0 -j DROP", "iptables -A OUTPUT -o eth0 -j DROP"}},
	{"resets", []string{
		"iptables -A INPUT -i eth0 -p tcp -j REJECT --reject-with tcp-reset",
		"iptables -A OUTPUT -o eth0 -p tcp -j REJECT --reject-with tcp-reset",
	}},
	{"sockets destroyed", []string{"ss -K -t"}},
	{"cable pulled", []string{"ip link set eth0 down"}},
}

// network is one namespace for each process, connected by a bridge in another
// namespace. It cannot be reached from outside.
type network struct {
	t     *testing.T
	hub   string
	hosts map[string]int // number in the network, by label
}

// newNetwork creates the bridge. The test's cleanup removes the network after
// the processes in it have ended.
func newNetwork(t *testing.T) *network {
	t.Helper()
	n := &network{t: t, hub: fmt.Sprintf("chunkline-%d", os.Getpid()), hosts: map[string]int{}}
	n.addNamespace(n.hub)
	n.run("ip -n " + n.hub + " link add br0 type bridge")
	n.run("ip -n " + n.hub + " link set br0 up")
	return n
}

func (n *network) addNamespace(name string) {
	n.t.Helper()
	n.run("ip netns add " + name)
	n.t.Cleanup(func() { n.run("ip netns del " + name) })
	n.run("ip -n " + name + " link set lo up")
}

func (n *network) namespace(label string) string { return n.hub + "-" + label }

// address is the address of a host in the network.
func (n *network) address(label string) string { return fmt.Sprintf("10.0.0.%d", n.hosts[label]) }

// prefix creates the namespace of a process if necessary, and returns the command prefix
// that runs the process in it.
func (n *network) prefix(label string) []string {
	n.t.Helper()
	name := n.namespace(label)
	if n.hosts[label] == 0 {
		n.hosts[label] = 1 + len(n.hosts)
		n.addNamespace(name)
		cable := fmt.Sprintf("cable%d", n.hosts[label])
		n.run(fmt.Sprintf("ip -n %s link add eth0 type veth peer name %s netns %s", name, cable, n.hub))
		n.run("ip -n " + n.hub + " link set " + cable + " master br0 up")
		n.run("ip -n " + name + " addr add " + n.address(label) + "/24 dev eth0")
		n.run("ip -n " + name + " link set eth0 up")
	}
	return []string{"ip", "netns", "exec", name}
}

func (n *network) cut(label string, w way) {
	n.t.Helper()
	for _, command := range w.commands {
		n.run("ip netns exec " + n.namespace(label) + " " + command)
	}
}

// heal undoes every way to disconnect a process.
func (n *network) heal(label string) {
	n.t.Helper()
	n.run("ip netns exec " + n.namespace(label) + " iptables -F")
	n.run("ip -n " + n.namespace(label) + " link set eth0 up")
}

// run runs a command, which must succeed. It needs root, Linux, iproute2 and iptables.
func (n *network) run(command string) {
	n.t.Helper()
	argv := strings.Fields(command)
	if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
		n.t.Fatalf("%s: %v\n%s", command, err, out)
	}
}

// startNATSAt starts a server in a namespace of its own.
func (j *job) startNATSAt(n *network) {
	j.T.Helper()
	const port = "4222"
	n.prefix("nats")
	server := j.Server("nats", n.address("nats")+":"+port)
	server.Await("Server is ready")
	j.nats, j.URL = []*proc.Process{server}, "nats://"+n.address("nats")+":"+port
}
