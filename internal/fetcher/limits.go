package fetcher

import (
	"sync/atomic"
	"time"
)

const (
	// maxRatePause is longer than any job; a rate of 1e-12 would not fit a Duration.
	maxRatePause = 1000 * 24 * time.Hour
	// rateBurst bounds how far the objects handed out run ahead of the rate: no piece has more objects than the rate
	// allows in this time, and no more unused rate accumulates. A service that refuses more than N requests in a second
	// would see a piece of 100 objects as 100 requests at once.
	rateBurst = 100 * time.Millisecond
	// rateUnused is how far the objects handed out may fall behind the rate before the mappers, which ask for too few,
	// count as the bottleneck instead of the rate.
	rateUnused = time.Second
	// limitSpan is how long the rate does not count as the bottleneck after mappers were too slow to use it up. Without
	// it the bottleneck would change with every piece.
	limitSpan = 30 * time.Second
	// mostDebt bounds how long no piece goes out because of retries, or ten pieces if that is longer: a client that
	// claims too many retries must not stop the job for good.
	mostDebt = time.Minute
)

// limit spaces pieces according to RATE, and records whether the rate or the mappers are the bottleneck.
type limit struct {
	next  time.Time     // no piece goes out before this time
	even  time.Time     // next, if unused rate were never lost
	pause time.Duration // pause after the last piece
	slack time.Time     // when the mappers last left some of the rate unused
}

// spend accounts for a piece of this many objects that goes out. Its chunk has been ready since the time ready.
func (l *limit) spend(now time.Time, objects int, rate float64, ready time.Time) {
	if behind := now.Add(-rateUnused); l.even.Before(behind) {
		if !l.even.IsZero() && ready.Before(behind) { // the chunk was ready, and no mapper asked for it
			l.slack = now
		}
		l.even = now
	}
	l.pause = pauseAfter(float64(objects), rate, maxRatePause)
	l.expire(now)
	l.next, l.even = l.next.Add(l.pause), l.even.Add(l.pause)
}

// retry accounts for objects that mappers have tried again.
func (l *limit) retry(now time.Time, objects uint64, rate float64) {
	most := max(mostDebt, 10*l.pause)
	l.expire(now)
	pause := min(pauseAfter(float64(objects), rate, most), max(0, most-l.next.Sub(now)))
	l.next = l.next.Add(pause)
	if !l.even.Before(now.Add(-rateUnused)) { // otherwise spend has yet to find out whether mappers left the rate unused
		l.even = l.even.Add(pause)
	}
}

// expire drops unused rate, except for that of the last moments.
func (l *limit) expire(now time.Time) {
	if l.next.Before(now.Add(-rateBurst)) {
		l.next = now
	}
}

// pauseAfter returns how long the rate takes for the objects, up to most.
func pauseAfter(objects, rate float64, most time.Duration) time.Duration {
	return time.Duration(min(objects/rate, most.Seconds()) * float64(time.Second))
}

// holds reports whether ready chunks wait because of the rate.
func (l *limit) holds(now time.Time, rate float64) bool {
	switch {
	case rate <= 0 || l.even.IsZero() || now.Sub(l.even) > rateUnused:
		return false
	case l.slack.IsZero():
		return true
	}
	return now.Sub(l.slack) > max(limitSpan, min(2*l.pause, maxRatePause))
}

// roomPatience is how long no chunk must have gone out for lack of memory until that is the bottleneck. Quick work
// fills it for moments.
const roomPatience = time.Second

// memoryPart is the fraction of the process's memory limit that chunks may take: 64 MiB of 256 MiB. Reading, sending and
// the garbage collector take as much again, and more.
const memoryPart = 4

// A memory bounds the bytes of chunks that the fetcher holds, whatever the number of mappers and the size of the
// chunks.
//
//   - Chunks that wait to go out take one half.
//   - Chunks on their way take the other half. They are read again, encoded, and kept by the bus until their mapper has
//     fetched them. A chunk larger than that goes alone.
//   - Chunks of a source that cannot be read twice are kept until they are saved. They take three quarters, and copies
//     for a shadow run one quarter.
type memory struct {
	most    int64
	out     atomic.Int64 // bytes handed to the senders and not yet to the bus
	waiting atomic.Bool  // the coordinator waits for room
}

// isFull reports whether to stop reading the source.
func (m *memory) isFull(ahead, kept int) bool {
	return int64(ahead) >= m.most/2 || int64(kept) >= m.most/4*3
}

// mayGoOut reports whether one more chunk, of at most this many bytes, may be on its way. Call it before the lease,
// because a lease that is not sent costs an attempt.
func (f *Fetcher) mayGoOut(largest int) bool {
	may := func() bool {
		out := f.memory.out.Load() + int64(f.bus.Kept())
		return out == 0 || out+int64(largest) <= f.memory.most/2
	}
	if may() {
		return true
	}
	f.memory.waiting.Store(true)
	return may() // room that was freed before the flag was set has not woken the coordinator
}

// wake makes a coordinator that waits for room check again. It never blocks.
func (f *Fetcher) wake() {
	if !f.memory.waiting.Swap(false) {
		return
	}
	select {
	case f.events <- func(*coordinator) {}:
	default: // other events are queued, and the coordinator checks after each
	}
}
