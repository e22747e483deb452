package report

import (
	"math"
	"testing"
	"time"
)

// TestPace: the rate of a mapper is that of the last ten seconds, or of its last
// two chunks if these are further apart.
func TestPace(t *testing.T) {
	t.Parallel()
	start := time.Unix(1000, 0)
	for name, c := range map[string]struct {
		every time.Duration
		until time.Duration
		now   time.Duration
		want  float64
		known bool
	}{
		"nothing yet":            {every: time.Minute, until: time.Second, now: time.Second, want: 0},
		"its first chunk":        {every: time.Second, until: time.Second, now: 2 * time.Second, want: 50},
		"fast":                   {every: 10 * time.Millisecond, until: time.Minute, now: time.Minute, want: 10_000, known: true},
		"slow":                   {every: 20 * time.Second, until: 200 * time.Second, now: 200 * time.Second, want: 5, known: true},
		"slow, in between":       {every: 20 * time.Second, until: 200 * time.Second, now: 205 * time.Second, want: 4, known: true},
		"fast, and then no more": {every: 10 * time.Millisecond, until: time.Minute, now: 2 * time.Minute, want: 0, known: true},
	} {
		var p Pace
		p.Begin(start)
		for at := c.every; at <= c.until; at += c.every {
			p.Add(start.Add(at), 100)
		}
		got := p.Rate(start.Add(c.now))
		if math.Abs(got-c.want) > c.want/8+5 || p.Known() != c.known {
			t.Errorf("%s: %.1f objects a second, known: %t; want about %.1f, %t", name, got, p.Known(), c.want, c.known)
		}
	}
}

// TestHistory: whatever the job's length, its history has few hundred points, from the beginning
// on, at even distances; a pause of the process is a gap that is filled.
func TestHistory(t *testing.T) {
	t.Parallel()
	start := time.Unix(1000, 0)
	var r Recorder
	for at := time.Duration(0); at < 3*time.Hour; at += 250 * time.Millisecond {
		objects := uint64(at.Seconds() * 10)
		if at > time.Hour && at < time.Hour+time.Minute {
			continue
		}
		r.Add(start.Add(at), objects)
	}
	if len(r.points) < historySize/2 || len(r.points) >= historySize || !r.begin.Equal(start) {
		t.Fatalf("%d points from %s on", len(r.points), r.begin)
	}
	for i, v := range r.points {
		want := float64(i) * r.every.Seconds() * 10
		if got := float64(v); got < want || got > want+620 { // 62 s of objects: those after the gap
			t.Errorf("point %d: %g objects, want %g", i, got, want)
		}
	}
}

// TestETA: there is a time left only while the job runs and nothing stops it.
func TestETA(t *testing.T) {
	t.Parallel()
	running := Status{State: StateRunning, Rate: 10, Progress: 0.25, Objects: ObjectCounts{Saved: 100}}
	if got := ETA(running); got == nil || *got != 30 {
		t.Errorf("300 objects are left at 10 a second: ETA is %v, want 30", got)
	}
	for name, change := range map[string]func(*Status){
		"starting":         func(s *Status) { s.State = StateStarting },
		"done":             func(s *Status) { s.State = StateDone },
		"nothing is saved": func(s *Status) { s.Rate = 0 },
		"unknown size":     func(s *Status) { s.Progress = 0 },
		"all is saved":     func(s *Status) { s.Progress = 1 },
		"paused":           func(s *Status) { s.Bottleneck = &Bottleneck{Cause: CausePause} },
	} {
		s := running
		change(&s)
		if got := ETA(s); got != nil {
			t.Errorf("%s: ETA is %g, want none", name, *got)
		}
	}
}

// TestProgress: the number of objects is estimated from bytes until the source is read.
func TestProgress(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		s         Status
		read, all int64
		want      float64
	}{
		"nothing is read":    {all: 1000},
		"half is read":       {s: Status{Objects: ObjectCounts{Cut: 100, Saved: 50}}, read: 500, all: 1000, want: 0.25},
		"more than its size": {s: Status{Objects: ObjectCounts{Cut: 100, Saved: 100}}, read: 1200, all: 1000, want: 1},
		"of unknown size":    {s: Status{Objects: ObjectCounts{Cut: 100, Saved: 50}}, read: 500},
		"all is read":        {s: Status{Cut: true, Objects: ObjectCounts{Cut: 100, Saved: 50}}, want: 0.5},
		"done and empty":     {s: Status{State: StateDone}, want: 1},
	} {
		if got := Progress(c.s, c.read, c.all); got != c.want {
			t.Errorf("%s: progress %g, want %g", name, got, c.want)
		}
	}
}
