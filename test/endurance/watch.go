//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/chunkline/chunkline/internal/bus"
)

// sample is what a process took at one moment.
type sample struct {
	resident    int // bytes
	descriptors int
	goroutines  int // 0: it does not tell
}

const interval = time.Second

// fault is something to be done when a share of the objects is saved.
type fault struct {
	at float64
	do func(ctx context.Context) error
}

// plan is the faults, in order. Saver and nats-server are killed in the first
// third, so that what is judged are processes that have run for long; each
// time all chunks in flight are lost or saved twice. Mappers are killed, or
// told to stop, all the time, each with the few chunks that it holds.
func (w *world) plan() []fault {
	var all []fault
	spread := func(from, to float64, times int, do func(ctx context.Context, i int) error) {
		for i := range times {
			at := from + (to-from)*(float64(i)+0.5)/float64(times)
			all = append(all, fault{at, func(ctx context.Context) error { return do(ctx, i) }})
		}
	}
	w.restarts = map[string]int{}
	restart := func(p *process) func(context.Context, int) error {
		return func(ctx context.Context, _ int) error { w.restarts[p.label]++; return p.again(ctx, syscall.SIGKILL) }
	}
	spread(0, 0.30, max(1, w.chunks()/30_000), restart(w.saver))
	spread(0.03, 0.33, max(1, w.chunks()/50_000), restart(w.nats))
	spread(0, 1, max(2, w.chunks()/1000), func(ctx context.Context, i int) error {
		victim := w.mortal[i%len(w.mortal)]
		if i%4 == 3 {
			w.drains++
			return victim.again(ctx, syscall.SIGTERM)
		}
		w.kills++
		return victim.again(ctx, syscall.SIGKILL)
	})
	slices.SortStableFunc(all, func(a, b fault) int { return int(1e9 * (a.at - b.at)) })
	return all
}

// watch samples every process every second, and commits the faults, until the
// job is done. It returns the fetcher's last report.
func (w *world) watch(ctx context.Context) (last bus.Status, err error) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	faults := w.plan()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return last, context.Cause(ctx)
		}
		for _, p := range w.processes {
			if p.ended() {
				return last, fmt.Errorf("%s has ended by itself:\n%s", p.label, tail(p.log))
			}
			if s, ok := look(ctx, p); ok {
				p.samples = append(p.samples, s)
			}
		}
		if s, err := status(ctx, w.fetcher); err == nil {
			last = s
		}
		if last.State == bus.StateDone {
			return last, nil
		}
		share := float64(last.Objects.Saved) / float64(w.objects)
		for len(faults) > 0 && share > faults[0].at {
			if err := faults[0].do(ctx); err != nil {
				return last, err
			}
			faults = faults[1:]
		}
	}
}

func tail(log string) string {
	text, err := os.ReadFile(log)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-2000):])
}

// look takes a sample; not ok while the process does not answer yet.
func look(ctx context.Context, p *process) (s sample, ok bool) {
	proc := fmt.Sprintf("/proc/%d/", p.cmd.Process.Pid)
	text, err := os.ReadFile(proc + "statm")
	if err != nil {
		return s, false
	}
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
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
	if p.http == "" {
		return s, true
	}
	s.goroutines, err = goroutines(ctx, p)
	return s, err == nil
}

var goroutinesLine = regexp.MustCompile(`(?m)^go_goroutines (\d+)$`)

func goroutines(ctx context.Context, p *process) (int, error) {
	text, err := get(ctx, "http://"+p.http+"/metrics")
	if err != nil {
		return 0, err
	}
	match := goroutinesLine.FindSubmatch(text)
	if match == nil {
		return 0, errors.New("no go_goroutines in the metrics")
	}
	return strconv.Atoi(string(match[1]))
}

func status(ctx context.Context, p *process) (s bus.Status, err error) {
	text, err := get(ctx, "http://"+p.http+"/api/status")
	if err != nil {
		return s, err
	}
	return s, json.Unmarshal(text, &s)
}

func get(ctx context.Context, url string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, interval)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, errors.New(response.Status)
	}
	return io.ReadAll(response.Body)
}
