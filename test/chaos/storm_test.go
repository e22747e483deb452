//go:build long

package chaos

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/chunkline/chunkline/test/proc"
)

// TestStorm: a process of each kind is killed at a random moment of the job. Then
// processes are killed, stopped, ended and restarted at random, alone, in pairs and
// all at once. Some jobs have a server that accepts only small messages, so that chunks
// and results are sent in parts; some have a cluster. After the last fault the job must
// end, and it must stay done when a fetcher is started again.
func TestStorm(t *testing.T) {
	t.Parallel()
	histories(t, storm)
}

// histories runs jobs one after the other for the duration -for. Each has its own
// seed, which is in its name.
func histories(t *testing.T, run func(*testing.T, *rand.Rand)) {
	t.Helper()
	end := time.Now().Add(*length)
	for seed := *firstSeed; seed == *firstSeed || time.Now().Before(end); seed++ {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) { run(t, rand.New(rand.NewPCG(seed, 0))) })
	}
}

func storm(t *testing.T, random *rand.Rand) {
	mappers := 1 + random.IntN(4)
	j := newJob(t, mappers*12_000) // ten seconds, undisturbed
	switch random.IntN(3) {
	case 0:
		j.startNATS()
	case 1:
		j.startNATS("max_payload: 2KB")
	case 2:
		j.startCluster()
	}
	j.startAll(mappers, "40ms")
	play(t, drawKills(random, j))
	end := time.Now().Add(time.Duration(5+random.IntN(10)) * time.Second)
	for time.Now().Before(end) && !j.done() {
		faults := drawFaults(random)
		for range 1 + random.IntN(4) {
			play(t, drawRound(random, faults, j))
			if j.done() {
				break
			}
		}
	}
	if random.IntN(2) == 0 {
		j.fetcher.Exit()
		j.fetcher.Start()
	}
	j.finish()
}

// step is an action on a process, at a time since the begin of the round.
type step struct {
	at   time.Duration
	what string
	do   func()
}

// fault is one way to disturb a process and to restore it, as steps.
type fault struct {
	name  string
	steps func(*rand.Rand, *job, *proc.Process) []step
}

var faults = []fault{
	{"kill", func(r *rand.Rand, j *job, p *proc.Process) []step {
		return []step{{0, "kill", func() { j.kill(p) }}, {drawHold(r), "start", p.Start}}
	}},
	{"stop", func(r *rand.Rand, _ *job, p *proc.Process) []step {
		return []step{
			{0, "stop", func() { p.Signal(syscall.SIGSTOP) }},
			{drawHold(r), "continue", func() { p.Signal(syscall.SIGCONT) }},
		}
	}},
	{"stop, then kill", func(r *rand.Rand, j *job, p *proc.Process) []step {
		hold := drawHold(r)
		return []step{
			{0, "stop", func() { p.Signal(syscall.SIGSTOP) }},
			{hold, "kill", func() { j.kill(p) }},
			{hold + drawHold(r), "start", p.Start},
		}
	}},
	{"end", func(_ *rand.Rand, j *job, p *proc.Process) []step {
		return []step{{0, "end and start", func() { j.end(p); p.Start() }}}
	}},
	{"restart ten times", func(r *rand.Rand, j *job, p *proc.Process) (all []step) {
		var at time.Duration
		for range 10 {
			all = append(all, step{at, "restart", func() { j.kill(p); p.Start() }})
			at += time.Duration(r.IntN(700)) * time.Millisecond
		}
		return all
	}},
}

// drawKills draws the order and the moments in which a nats-server, the saver,
// the fetcher and a mapper are killed, and started again at once.
func drawKills(r *rand.Rand, j *job) (kills []step) {
	var at time.Duration
	for _, i := range r.Perm(4) {
		p := []*proc.Process{j.nats[0], j.saver, j.fetcher, j.mappers[0]}[i]
		at += time.Duration(r.IntN(800)) * time.Millisecond
		kills = append(kills, step{at, "kill and start " + p.Label, func() { j.kill(p); p.Start() }})
	}
	return kills
}

// drawHold draws how long a fault lasts: a moment, or longer than a lease.
func drawHold(r *rand.Rand) time.Duration {
	if r.IntN(3) > 0 {
		return time.Duration(r.IntN(1500)) * time.Millisecond
	}
	return time.Duration(3000+r.IntN(4000)) * time.Millisecond
}

// drawFaults draws the faults of some rounds; at times none.
func drawFaults(r *rand.Rand) (some []fault) {
	for _, f := range faults {
		if r.IntN(2) == 0 {
			some = append(some, f)
		}
	}
	return some
}

// drawRound draws the faults of a round for one process, a pair, or all. Each process's
// first fault is within a second; at the end of a round all processes run.
func drawRound(r *rand.Rand, faults []fault, j *job) []step {
	calm := step{time.Duration(r.IntN(1000)) * time.Millisecond, "calm", func() {}}
	round := []step{calm}
	if len(faults) == 0 {
		return round
	}
	// Several mappers are no more likely to be chosen than one fetcher.
	victims := []*proc.Process{j.nats[r.IntN(len(j.nats))], j.saver, j.fetcher, j.mappers[r.IntN(len(j.mappers))]}
	r.Shuffle(len(victims), func(i, j int) { victims[i], victims[j] = victims[j], victims[i] })
	switch r.IntN(4) {
	case 0:
		victims = j.all()
	case 1:
		victims = victims[:2]
	default:
		victims = victims[:1]
	}
	for _, p := range victims {
		begin := time.Duration(r.IntN(1000)) * time.Millisecond
		for _, s := range faults[r.IntN(len(faults))].steps(r, j, p) {
			round = append(round, step{begin + s.at, s.what + " " + p.Label, s.do})
		}
	}
	return round
}

// play runs the steps in the order of their times.
func play(t *testing.T, round []step) {
	t.Helper()
	slices.SortStableFunc(round, func(a, b step) int { return cmp.Compare(a.at, b.at) })
	begin := time.Now()
	for _, s := range round {
		<-time.After(s.at - time.Since(begin)) // the moment is what the seed chooses
		t.Logf("%s: %s", s.at, s.what)
		s.do()
	}
}
