package fetcher

import "time"

const (
	// maxRatePause is longer than any job; a rate of 1e-12 would not fit a Duration.
	maxRatePause = 1000 * 24 * time.Hour
	// mostEarned is what an idle time earns at most of the rate.
	mostEarned = time.Second
	// limitSpan is how long the limit is not what holds the job once the mappers
	// were too slow to use it up. Without it the answer would change with every chunk.
	limitSpan = 30 * time.Second
)

// limit spaces what is handed out as RATE says, and knows whether that or the
// mappers are what holds the job.
type limit struct {
	next  time.Time     // no hand-out before
	pause time.Duration // that the last chunk cost
	slack time.Time     // when the mappers last left some of the rate unused
}

// given notes that a chunk of so many objects, ready since then, is handed out.
func (l *limit) given(now time.Time, objects int, rate float64, ready time.Time) {
	if free := now.Add(-mostEarned); l.next.Before(free) {
		if !l.next.IsZero() && ready.Before(free) { // the chunk was there, and nobody came for it
			l.slack = now
		}
		l.next = now
	}
	l.pause = time.Duration(min(float64(objects)/rate, maxRatePause.Seconds()) * float64(time.Second))
	l.next = l.next.Add(l.pause)
}

// holds says whether a rate is what keeps ready chunks from being handed out.
func (l *limit) holds(now time.Time, rate float64) bool {
	switch {
	case rate <= 0 || l.next.IsZero() || now.Sub(l.next) > mostEarned:
		return false
	case l.slack.IsZero():
		return true
	}
	return now.Sub(l.slack) > max(limitSpan, min(2*l.pause, maxRatePause))
}
