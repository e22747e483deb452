//go:build long

package hostile

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/internal/wire"
	"github.com/chunkline/chunkline/test/proc"
)

// job is a job with real roles and an attacker.
type job struct {
	*proc.Job
	*attacker

	settings map[string][]string // additional ones, by program
	roles    []*proc.Process     // they must not end by themselves
	highest  <-chan int          // gets the fetcher's peak memory when it has ended
}

// newJob starts a nats-server and an attacker; the test starts the roles.
func newJob(t *testing.T, users int) *job {
	t.Helper()
	j := &job{Job: proc.NewJob(t, "hostile")}
	j.Users(users)
	j.NATS()
	j.attacker = newAttacker(t, j.URL, j.Name)
	return j
}

// watched starts a role that must not end by itself, and waits until it logs ready.
func (j *job) watched(ready string, start func(env ...string) *proc.Process, env ...string) *proc.Process {
	j.t.Helper()
	p := start(env...)
	p.Await(ready)
	j.roles = append(j.roles, p)
	return p
}

func (j *job) saver() *proc.Process {
	j.t.Helper()
	return j.watched("saver serves", j.Saver, j.settings["saver"]...)
}

func (j *job) fetcher(env ...string) *proc.Process {
	j.t.Helper()
	p := j.watched("fetcher serves", j.Fetcher, slices.Concat(j.settings["fetcher"], []string{"ON_DONE=exit"}, env)...)
	j.watch(p)
	return p
}

func (j *job) mapper(label, transform string, env ...string) *proc.Process {
	j.t.Helper()
	start := func(env ...string) *proc.Process { return j.Mapper(label, transform, env...) }
	return j.watched("mapper asks", start, slices.Concat(j.settings["mapper"], env)...)
}

// retire ends a role, which must still be running.
func (j *job) retire(p *proc.Process) {
	j.t.Helper()
	proc.End(j.t, p)
	j.roles = slices.DeleteFunc(j.roles, func(r *proc.Process) bool { return r == p })
}

// end waits until the fetcher has done the job, then checks the fetcher's counts
// and the sink, and that no role has ended or used too much memory.
func (j *job) end(fetcher *proc.Process) {
	j.t.Helper()
	if code := fetcher.Exit(); code != 0 {
		j.t.Fatalf("fetcher: exit %d, want 0: %s", code, fetcher.Tail())
	}
	for label, peak := range j.peaks(fetcher) {
		if peak > maxPeak {
			j.t.Errorf("%s took %d MiB at its peak, want at most %d", label, peak>>20, maxPeak>>20)
		}
	}
	for _, p := range j.roles {
		if p == fetcher {
			continue
		}
		if p.Ended() {
			j.t.Errorf("%s has ended: %s", p.Label, p.Tail())
		}
		if strings.Contains(p.Log(), "panic:") {
			j.t.Errorf("%s panicked: %s", p.Label, p.Tail())
		}
	}
	want := fmt.Sprintf(`"objects":%d,"outputs":%d,"dead":0`, j.Objects, j.Objects)
	if !strings.Contains(fetcher.Log(), want) {
		j.t.Errorf("the fetcher did not count %s: %s", want, fetcher.Tail())
	}
	j.verify()
}

// verify compares the sink with the source.
func (j *job) verify() {
	j.t.Helper()
	for _, p := range j.roles {
		if p.Program == "saver" {
			p.Kill() // verify needs the folder's lock
		}
	}
	j.Verify("")
}

// status returns the fetcher's status.
func (j *job) status() report.Status {
	j.t.Helper()
	s, err := wire.DecodeStatus(j.ask(wire.VerbStatus, wire.StatusQuery{}.Encode()))
	if err != nil {
		j.t.Fatal(err)
	}
	return s
}

// maxPeak bounds the peak resident memory of each role. A role has budgets of
// 256 MiB for messages in parts and 128 MiB for the messages that wait for one
// handler, plus garbage that is not collected yet. No attack fills several
// budgets with real bytes at a time.
const maxPeak = 768 << 20

// watch polls the peak memory of the fetcher, which ends before peaks reads that of the others.
func (j *job) watch(fetcher *proc.Process) {
	highest := make(chan int, 1)
	j.highest = highest
	go func() { // ends with the fetcher, which the test's cleanup kills
		most := 0
		defer func() { highest <- most }()
		for exited := fetcher.Exited(); ; {
			most = max(most, peak(fetcher.PID()))
			select {
			case <-exited:
				return
			case <-tick():
			}
		}
	}()
}

// peaks returns the peak memory of every role by label, after the fetcher has ended.
func (j *job) peaks(fetcher *proc.Process) map[string]int {
	peaks := map[string]int{}
	for _, p := range j.roles {
		peaks[p.Label] = peak(p.PID())
	}
	peaks[fetcher.Label] = <-j.highest
	j.t.Logf("peaks in MiB: %s", mebibytes(peaks))
	return peaks
}

func mebibytes(peaks map[string]int) string {
	var text []string
	for label, bytes := range peaks {
		text = append(text, fmt.Sprintf("%s %d", label, bytes>>20))
	}
	slices.Sort(text)
	return strings.Join(text, ", ")
}

// peak returns the peak resident memory of a process in bytes; 0 if it has ended.
func peak(pid int) int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(text), "VmHWM:")
	number, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
	kilobytes, _ := strconv.Atoi(number)
	return kilobytes << 10
}
