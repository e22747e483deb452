package fetcher

import (
	"fmt"
	"maps"
	"slices"

	"github.com/chunkline/chunkline/internal/transform"
)

// The transform is part of the job: results of two transforms are not mixed unless an operator allows it. A version is
// bound to one transform as soon as one of its mappers gets a chunk. The sink stores it with the first result. A mapper
// without its own VERSION must have the job's transform.

// checkTransform refuses to continue a job whose sink holds only results of other transforms.
func (f *Fetcher) checkTransform() error {
	made := slices.Sorted(maps.Values(f.grant.past.Transforms))
	if f.cfg.Transform == "" || f.cfg.AcceptChange || len(made) == 0 {
		return nil
	}
	for _, identity := range made {
		if transform.Is(identity, f.cfg.Transform) {
			return nil
		}
	}
	return fmt.Errorf("%w: it has those of %q, and TRANSFORM is %.200q: continue with that transform, set ACCEPT_CHANGE=true to keep what is there, "+
		"remove it with chunkline redo, or choose another sink", ErrOtherTransform, made, f.cfg.Transform)
}

// refuse returns why a request gets no chunk because of its mapper's transform; "" if it may get one. The request names
// the transform of its worker. Workers adopt the job's transform one after the other, so a late request may come from a
// worker that has none yet.
func (c *coordinator) refuse(m *mapper, asked string) string {
	if asked != m.Transform {
		return "the worker that asks has not taken the job's transform yet"
	}
	before := m.refused
	m.refused = c.refusalOf(m)
	if m.refused != "" && m.refused != before && m.Transform != "" {
		c.mapperLog.gotNoWork(c.ticked, m)
	}
	return m.refused
}

func (c *coordinator) refusalOf(m *mapper) string {
	job := c.f.cfg.Transform
	switch {
	case m.Transform == "" && job == "":
		return "neither this mapper nor the fetcher has a TRANSFORM: set it for one of them"
	case m.Transform == "" && transform.CallsOut(job):
		return "this mapper has no TRANSFORM, and the job's runs a program or calls a service: it takes that only with ALLOW_EXEC=true"
	case m.Transform == "":
		return "this mapper has no TRANSFORM: it takes the job's"
	case m.mixes():
		return fmt.Sprintf("version %q stands for the transform %.200q, and this mapper has %.200q: give it a VERSION of its own", m.Version, m.of.transform, m.Transform)
	case job != "" && !m.Declared && !transform.Is(m.Transform, job):
		return fmt.Sprintf("the job's transform is %.200q, and this mapper has %.200q: leave TRANSFORM out to take the job's, or set a VERSION as well", job, m.Transform)
	}
	return ""
}

// mixes reports whether the mapper's version is bound to another transform than the mapper's.
func (m *mapper) mixes() bool { return m.of.transform != "" && m.of.transform != m.Transform }

// refusal returns why no mapper gets work; "" if at least one does.
func (c *coordinator) refusal() string {
	why := ""
	for _, id := range slices.Sorted(maps.Keys(c.mappers)) {
		m := c.mappers[id]
		if m.refused == "" {
			return ""
		}
		why = m.refused
	}
	return why
}
