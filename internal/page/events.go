package page

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/chunkline/chunkline/internal/app"
)

const (
	eventsEvery = time.Second
	maxViewers  = 200
	lastWithin  = 200 * time.Millisecond
	writeWithin = 10 * time.Second // a viewer that does not read is disconnected
)

// event is the latest event of one kind.
type event struct {
	name    string
	data    []byte
	version int // grows with each change; from 1
}

// frames are the events that all viewers get. They are built once a second, when the first viewer needs them. So they
// cost nothing without viewers, and many viewers cost no more than one.
type frames struct {
	job     Job
	viewers atomic.Int32
	opened  atomic.Bool // there has been a viewer

	mu     sync.Mutex
	made   time.Time // guarded by mu
	events []event   // guarded by mu
	ended  bool      // guarded by mu; the server has ended
}

// latest returns the current events.
func (f *frames) latest(ctx context.Context) []event {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now := time.Now(); now.Sub(f.made) >= eventsEvery*9/10 {
		f.made = now
		f.set("status", f.job.Status().Whole(), nil)
		m, err := f.job.Map(ctx, 0, 0, defaultCells)
		f.set("map", m, err)
		h, err := f.job.History(ctx)
		f.set("history", h, err)
	}
	return slices.Clone(f.events) // the data of an event is never modified
}

// last returns the events at the end of the server. The job has ended by then, or is about to, and may not answer any
// more.
func (f *frames) last(ended context.Context) []event {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ended), lastWithin)
	defer cancel()
	f.mu.Lock()
	if !f.ended {
		f.ended, f.made = true, time.Time{}
	}
	f.mu.Unlock()
	return f.latest(ctx)
}

// set stores the new value of an event, unless there is an error or the value is the same.
func (f *frames) set(name string, v any, err error) {
	if err != nil {
		return // the fetcher has no data while it waits for the saver
	}
	data, err := json.Marshal(v)
	if err != nil {
		return // cannot happen: all numbers are finite
	}
	for i := range f.events {
		if e := &f.events[i]; e.name == name {
			if !bytes.Equal(e.data, data) {
				e.data, e.version = data, e.version+1
			}
			return
		}
	}
	f.events = append(f.events, event{name: name, data: data, version: 1})
}

// events sends changes once a second, until the viewer leaves, or the server ends and has sent the final state.
func (a *api) events(w http.ResponseWriter, r *http.Request) {
	if a.frames.viewers.Add(1) > maxViewers {
		a.frames.viewers.Add(-1)
		problem(w, http.StatusServiceUnavailable, errors.New("too many viewers"))
		return
	}
	defer a.frames.viewers.Add(-1)
	a.frames.opened.Store(true)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Accel-Buffering", "no") // otherwise nginx buffers events
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Time{}) // the request has been read, and the answer does not end
	send := func(write func(io.Writer) error) error {
		return errors.Join(control.SetWriteDeadline(time.Now().Add(writeWithin)), write(w), control.Flush())
	}
	if send(func(w io.Writer) error { _, err := io.WriteString(w, "retry: 1000\n\n"); return err }) != nil {
		return
	}
	sent := map[string]int{}
	show := func(events []event) error {
		return send(func(w io.Writer) error {
			for _, e := range events {
				if sent[e.name] == e.version {
					continue
				}
				sent[e.name] = e.version
				if _, err := fmt.Fprintf(w, "event: %s\ndata: %s\n\n", e.name, e.data); err != nil {
					return err
				}
			}
			return nil
		})
	}
	tick := time.NewTicker(eventsEvery)
	defer tick.Stop()
	for {
		if show(a.frames.latest(r.Context())) != nil {
			return // the viewer has left
		}
		select {
		case <-r.Context().Done():
			if app.Ending(r) {
				_ = show(a.frames.last(r.Context())) // the stream ends even if this fails
			}
			return
		case <-tick.C:
		}
	}
}
