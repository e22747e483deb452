package fetcher

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
		var p pace
		p.begin(start)
		for at := c.every; at <= c.until; at += c.every {
			p.add(start.Add(at), 100)
		}
		got := p.rate(start.Add(c.now))
		if math.Abs(got-c.want) > c.want/8+5 || p.known() != c.known {
			t.Errorf("%s: %.1f objects a second, known: %t; want about %.1f, %t", name, got, p.known(), c.want, c.known)
		}
	}
}

// TestHistory: whatever the job's length, its history has few hundred points, from the beginning
// on, at even distances; a pause of the process is a gap that is filled.
func TestHistory(t *testing.T) {
	t.Parallel()
	start := time.Unix(1000, 0)
	var h history
	for at := time.Duration(0); at < 3*time.Hour; at += 250 * time.Millisecond {
		objects := uint64(at.Seconds() * 10)
		if at > time.Hour && at < time.Hour+time.Minute {
			continue
		}
		h.add(start.Add(at), objects)
	}
	if len(h.points) < historySize/2 || len(h.points) >= historySize || !h.begin.Equal(start) {
		t.Fatalf("%d points from %s on", len(h.points), h.begin)
	}
	for i, v := range h.points {
		want := float64(i) * h.every.Seconds() * 10
		if got := float64(v); got < want || got > want+620 { // 62 s of objects: those after the gap
			t.Errorf("point %d: %g objects, want %g", i, got, want)
		}
	}
}
