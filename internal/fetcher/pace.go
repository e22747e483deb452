package fetcher

import "time"

// rateSpan is the time that the shown rates are the average of.
const rateSpan = 10 * time.Second

// meter measures the rate of saved objects over the last rateSpan.
type meter struct {
	last    time.Time
	samples []sample // oldest first
}

type sample struct {
	at      time.Time
	objects uint64
}

// rate notes how many objects are saved now and returns objects a second.
func (m *meter) rate(now time.Time, objects uint64) float64 {
	m.last = now
	m.samples = append(m.samples, sample{at: now, objects: objects})
	for len(m.samples) > 2 && now.Sub(m.samples[1].at) >= rateSpan {
		m.samples = m.samples[1:]
	}
	first := m.samples[0]
	if span := now.Sub(first.at).Seconds(); span > 0 && objects > first.objects {
		return float64(objects-first.objects) / span
	}
	return 0
}

// pace measures the rate of what comes now and then, in steps that may be far
// apart: over the last rateSpan, or since the last but one came if that is longer.
type pace struct {
	steps []sample // oldest first; the first is where counting began
	total uint64
	last  time.Time // of what came last
	prior sample    // of what came before that
}

// paceStep is how far apart steps are remembered at least.
const paceStep = time.Second

func (p *pace) begin(now time.Time) { p.steps, p.last = []sample{{at: now}}, now }

func (p *pace) add(now time.Time, objects int) {
	p.prior, p.last = sample{at: p.last, objects: p.total}, now
	p.total += uint64(objects)
	if last := len(p.steps) - 1; last > 0 && now.Sub(p.steps[last-1].at) < paceStep {
		p.steps[last] = sample{at: now, objects: p.total}
		return
	}
	p.steps = append(p.steps, sample{at: now, objects: p.total})
	for len(p.steps) > 3 && now.Sub(p.steps[1].at) >= rateSpan {
		p.steps = p.steps[1:]
	}
}

// known says whether there was enough to tell a rate.
func (p *pace) known() bool { return len(p.steps) > 2 }

// rate returns objects a second.
func (p *pace) rate(now time.Time) float64 {
	first := p.steps[0]
	for _, s := range p.steps[1:max(1, len(p.steps)-1)] {
		if now.Sub(s.at) < rateSpan {
			break
		}
		first = s
	}
	if now.Sub(p.last) >= rateSpan && p.total > 0 {
		first = p.prior
	}
	if span := now.Sub(first.at).Seconds(); span > 0 {
		return float64(p.total-first.objects) / span
	}
	return 0
}

// history is the objects that were saved by a time, from the start of the
// fetcher on, at even distances in time. When it is full every other point goes,
// so that a job of a minute and one of a week are drawn with as many points.
type history struct {
	begin  time.Time
	every  time.Duration
	points []uint64 // at begin + i × every
}

const (
	historyEvery = time.Second
	historySize  = 600
)

func (h *history) add(now time.Time, objects uint64) {
	if h.every == 0 {
		h.begin, h.every = now, historyEvery
	}
	if due := h.begin.Add(time.Duration(len(h.points)) * h.every); now.Before(due) {
		return
	}
	// A pause of this process leaves a gap: the points in it are those of its end.
	for !now.Before(h.begin.Add(time.Duration(len(h.points)) * h.every)) {
		h.points = append(h.points, objects)
		if len(h.points) == historySize {
			for i := range historySize / 2 {
				h.points[i] = h.points[2*i]
			}
			h.points, h.every = h.points[:historySize/2], 2*h.every
		}
	}
}
