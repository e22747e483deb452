package fetcher

import (
	"fmt"
	"maps"
	"slices"

	"github.com/chunkline/chunkline/internal/transform"
)

// What mappers do to objects is part of the job: results of two transforms are
// not mixed unless somebody has said so. A version stands for one transform, from
// the first chunk that one of its mappers gets; the sink remembers it with the
// first result. A mapper that nobody gave a version must have the job's transform.

// checkTransform refuses to go on with another transform than those that made what
// the sink holds.
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
	return fmt.Errorf("%w: it has those of %q, and TRANSFORM is %.200q: go on with that transform, set ACCEPT_CHANGE=true to keep what is there, "+
		"take it out with chunkline redo, or choose another sink", ErrOtherTransform, made, f.cfg.Transform)
}

// refuse says why a request of a mapper gets no chunk, for what it does to objects; "": it
// may get one. The request itself says what its worker does: one that is overtaken by a later
// one of another worker, which has taken the job's transform meanwhile, is of a worker that
// has none yet.
func (d *coordinator) refuse(m *mapper, asked string) string {
	if asked != m.Transform {
		return "the request is of a worker that has not taken the job's transform yet"
	}
	before := m.refused
	m.refused = d.refusalOf(m)
	if m.refused != "" && m.refused != before && m.Transform != "" {
		d.mapperLog.gotNoWork(d.ticked, m)
	}
	return m.refused
}

func (d *coordinator) refusalOf(m *mapper) string {
	job := d.f.cfg.Transform
	switch {
	case m.Transform == "" && job == "":
		return "neither this mapper nor the fetcher has a TRANSFORM: set it for one of them"
	case m.Transform == "":
		return "this mapper has no TRANSFORM: it takes the job's"
	case m.mixes():
		return fmt.Sprintf("version %q stands for the transform %.200q, and this mapper has %.200q: give it a VERSION of its own", m.Version, m.of.transform, m.Transform)
	case job != "" && !m.Declared && !transform.Is(m.Transform, job):
		return fmt.Sprintf("the job's transform is %.200q, and this mapper has %.200q: leave TRANSFORM out to take the job's, or set a VERSION as well", job, m.Transform)
	}
	return ""
}

// mixes says whether the mapper's version stands for another transform than its own.
func (m *mapper) mixes() bool { return m.of.transform != "" && m.of.transform != m.Transform }

// refusal is why none of the mappers gets work; "" if one of them does.
func (d *coordinator) refusal() string {
	why := ""
	for _, id := range slices.Sorted(maps.Keys(d.mappers)) {
		m := d.mappers[id]
		if m.refused == "" {
			return ""
		}
		why = m.refused
	}
	return why
}
