package report

import "time"

// RateSpan is the time over which the shown rates are averaged.
const RateSpan = 10 * time.Second

type sample struct {
	at      time.Time
	objects uint64
}

// A Meter measures the rate of a whole job over the last RateSpan. It must be read at short intervals.
type Meter struct {
	samples []sample // oldest first
}

// Rate records how many objects are saved now and returns the objects per second.
func (m *Meter) Rate(now time.Time, objects uint64) float64 {
	m.samples = append(m.samples, sample{at: now, objects: objects})
	for len(m.samples) > 2 && now.Sub(m.samples[1].at) >= RateSpan {
		m.samples = m.samples[1:]
	}
	first := m.samples[0]
	if span := now.Sub(first.at).Seconds(); span > 0 && objects > first.objects {
		return float64(objects-first.objects) / span
	}
	return 0
}

// Last returns when Rate was last called, and zero if it never was.
func (m *Meter) Last() time.Time {
	if len(m.samples) == 0 {
		return time.Time{}
	}
	return m.samples[len(m.samples)-1].at
}

// A Pace measures the rate of one mapper or version. It does so over the last RateSpan or, because chunks may be
// minutes apart, since the last chunk but one if that is longer.
type Pace struct {
	steps []sample // oldest first; the first is where counting began
	total uint64
	last  time.Time // of the last chunk
	prior sample    // of the chunk before it
}

// paceStep is the least time between two steps that are remembered.
const paceStep = time.Second

// Begin starts counting. Call it first.
func (p *Pace) Begin(now time.Time) { p.steps, p.last = []sample{{at: now}}, now }

// Add records a chunk of that many objects.
func (p *Pace) Add(now time.Time, objects int) {
	p.prior, p.last = sample{at: p.last, objects: p.total}, now
	p.total += uint64(objects)
	if last := len(p.steps) - 1; last > 0 && now.Sub(p.steps[last-1].at) < paceStep {
		p.steps[last] = sample{at: now, objects: p.total}
		return
	}
	p.steps = append(p.steps, sample{at: now, objects: p.total})
	for len(p.steps) > 3 && now.Sub(p.steps[1].at) >= RateSpan {
		p.steps = p.steps[1:]
	}
}

// Known reports whether there were enough chunks to compute a rate.
func (p *Pace) Known() bool { return len(p.steps) > 2 }

// Idle returns the time since the last chunk, or since Begin.
func (p *Pace) Idle(now time.Time) time.Duration { return now.Sub(p.last) }

// Rate returns the objects per second.
func (p *Pace) Rate(now time.Time) float64 {
	first := p.steps[0]
	for _, s := range p.steps[1:max(1, len(p.steps)-1)] {
		if now.Sub(s.at) < RateSpan {
			break
		}
		first = s
	}
	if p.Idle(now) >= RateSpan && p.total > 0 {
		first = p.prior
	}
	if span := now.Sub(first.at).Seconds(); span > 0 {
		return float64(p.total-first.objects) / span
	}
	return 0
}

// Progress returns the share of the source that is saved, 0 to 1. Until the source has been read to its end, Progress
// estimates the number of objects from the share of bytes that were read. For a source of unknown size it returns 0
// until then.
func Progress(s Status, read, all int64) float64 {
	switch saved, cut := float64(s.Objects.Saved), float64(s.Objects.Cut); {
	case s.State == StateDone:
		return 1
	case s.Objects.Cut == 0:
		return 0
	case s.Cut:
		return saved / cut
	case all <= 0 || read <= 0:
		return 0
	default:
		return min(1, saved/cut*float64(read)/float64(all))
	}
}

// ETA estimates the seconds to the end of the job from its rate and progress. It returns nil while it cannot.
func ETA(s Status) *float64 {
	if s.State != StateRunning || s.Rate <= 0 || s.Progress <= 0 || s.Progress >= 1 || s.Bottleneck.StopsJob() {
		return nil
	}
	saved := float64(s.Objects.Saved)
	seconds := (saved/s.Progress - saved) / s.Rate
	return &seconds
}
