//go:build endurance && linux

package endurance

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/chunkline/chunkline/internal/report"
)

// sample is what a process uses at one moment.
type sample struct {
	resident    int // bytes
	descriptors int
	goroutines  int // 0: unknown
}

const interval = time.Second

// fault is an action for the moment when a share of the objects is saved.
type fault struct {
	at float64
	do func()
}

// plan returns the faults in order. Saver and nats-server are killed only in the first
// third, so that the samples that count are of long-running processes; each time
// all chunks in flight are lost or saved twice. Mappers are killed or drained all the
// time, each with the few chunks that it holds.
func (w *world) plan() []fault {
	var all []fault
	spread := func(from, to float64, times int, do func(i int)) {
		for i := range times {
			at := from + (to-from)*(float64(i)+0.5)/float64(times)
			all = append(all, fault{at, func() { do(i) }})
		}
	}
	restart := func(p *watched) func(int) {
		return func(int) { w.restarts[p.Label]++; p.again(syscall.SIGKILL) }
	}
	spread(0, 0.30, max(1, chunks()/30_000), restart(w.saver))
	spread(0.03, 0.33, max(1, chunks()/50_000), restart(w.nats))
	spread(0, 1, max(2, chunks()/1000), func(i int) {
		victim := w.killable[i%len(w.killable)]
		if i%4 == 3 {
			w.drains++
			victim.again(syscall.SIGTERM)
			return
		}
		w.kills++
		victim.again(syscall.SIGKILL)
	})
	slices.SortStableFunc(all, func(a, b fault) int { return int(1e9 * (a.at - b.at)) })
	return all
}

// again ends the process with a signal and restarts it.
func (p *watched) again(s syscall.Signal) {
	p.Signal(s)
	p.Wait()
	p.Start()
}

// watch samples every process each second and injects the faults until the
// job is done. It returns the fetcher's last status.
func (w *world) watch() (last report.Status) {
	w.T.Helper()
	tick := time.NewTicker(interval)
	defer tick.Stop()
	faults := w.plan()
	for range tick.C {
		for _, p := range w.watched {
			if p.Ended() {
				w.T.Fatalf("%s ended by itself: %s", p.Label, p.Tail())
			}
			if s, ok := p.look(); ok {
				p.samples = append(p.samples, s)
			}
		}
		var s report.Status
		if w.fetcher.GetJSON("/api/status", &s) {
			last = s
		}
		if last.State == report.StateDone {
			break
		}
		share := float64(last.Objects.Saved) / float64(*objects)
		for len(faults) > 0 && share > faults[0].at {
			faults[0].do()
			faults = faults[1:]
		}
	}
	return last
}

// look takes a sample; ok is false while the process does not answer.
func (p *watched) look() (s sample, ok bool) {
	proc := fmt.Sprintf("/proc/%d/", p.PID())
	text, err := os.ReadFile(proc + "statm")
	fields := strings.Fields(string(text))
	if err != nil || len(fields) < 2 {
		return s, false
	}
	pages, err := strconv.Atoi(fields[1])
	if err != nil {
		return s, false
	}
	s.resident = pages * os.Getpagesize()
	descriptors, err := os.ReadDir(proc + "fd")
	if err != nil {
		return s, false
	}
	s.descriptors = len(descriptors)
	if !p.web {
		return s, true
	}
	goroutines, ok := p.Gauge("go_goroutines")
	s.goroutines = int(goroutines)
	return s, ok
}
