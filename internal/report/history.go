package report

import (
	"slices"
	"time"
)

// A History is the number of saved objects over time.
type History struct {
	Begin   time.Time `json:"begin,omitzero"` // missing before the first point
	Seconds float64   `json:"seconds"`        // between two points
	Objects []uint64  `json:"objects"`        // saved at begin + i × seconds
}

// A Recorder records the history of a job since the fetcher started, as points at equal intervals. When it is full it
// drops every other point and doubles the interval, so the history of a week takes no more memory than that of an hour.
type Recorder struct {
	begin  time.Time
	every  time.Duration
	points []uint64 // at begin + i × every
}

const (
	historyEvery = time.Second
	historySize  = 600
)

// Add records how many objects are saved now.
func (r *Recorder) Add(now time.Time, objects uint64) {
	if r.every == 0 {
		r.begin, r.every = now, historyEvery
	}
	// If this process was paused, several points are due: all get the current value.
	for !now.Before(r.begin.Add(time.Duration(len(r.points)) * r.every)) {
		r.points = append(r.points, objects)
		if len(r.points) == historySize {
			for i := range historySize / 2 {
				r.points[i] = r.points[2*i]
			}
			r.points, r.every = r.points[:historySize/2], 2*r.every
		}
	}
}

// History returns a copy of the recorded history.
func (r *Recorder) History() History {
	return History{Begin: r.begin, Seconds: r.every.Seconds(), Objects: slices.Concat([]uint64{}, r.points)}
}
