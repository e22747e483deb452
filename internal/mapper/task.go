package mapper

import (
	"errors"
	"fmt"
	"strings"

	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/internal/transform"
	"github.com/chunkline/chunkline/internal/wire"
)

// A task is what the mapper does to objects, and whom it says it is while it does
// that. A task is never changed; another one takes its place.
type task struct {
	self report.Mapper
	spec transform.Spec // as it was made if self.Transform is "": the fetcher is yet to say
}

// make makes the transform of a task for one worker.
func (m *Mapper) make(t *task) (transform.Transform, error) {
	spec := t.spec
	spec.InProcess, spec.EndTimeout, spec.Stderr = m.inProcess, m.cfg.EndTimeout, m.stderr
	spec.Credentials, spec.Dial = m.cfg.credentials(), m.dial
	spec.Warn = func(text string) {
		m.signs.warn(text)
		m.log.Warn().Str("transform", t.self.Transform).Msg(text)
	}
	return spec.New()
}

// refusedError is the fetcher's reason for giving no work.
type refusedError string

func (e refusedError) Error() string { return string(e) }

// refused takes the job's transform from a fetcher's refusal, if this mapper has none of
// its own, and says whether to ask again at once. A mapper whose version nobody has set
// is of a version that is called as its transform, so that it may take another one of
// the next job.
func (m *Mapper) refused(w wire.Work) bool {
	now := m.task.Load()
	if m.cfg.Transform != "" || w.Transform == "" || transform.Is(now.self.Transform, w.Transform) {
		m.peers.refusal.Note(refusedError(w.Reason))
		return false
	}
	next, err := m.taskOf(w.Transform)
	if err != nil {
		m.peers.refusal.Note(fmt.Errorf("take the job's transform: %w", err))
		return false
	}
	if m.task.CompareAndSwap(now, next) {
		m.signs.restart()
		m.log.Info().Str("transform", next.self.Transform).Msg("mapper takes the job's transform")
	}
	return true
}

// errExec keeps whoever can play the fetcher from running programs here, and from
// sending requests, with this mapper's token, to a service of their choice.
var errExec = errors.New("it runs a program or calls a service: set TRANSFORM here as well, or ALLOW_EXEC=true to do what the fetcher says")

func (m *Mapper) taskOf(setting string) (*task, error) {
	if (strings.HasPrefix(setting, "exec:") || transform.CallsService(setting)) && !m.cfg.AllowExec {
		return nil, errExec
	}
	spec, err := transform.Parse(setting)
	if err != nil {
		return nil, err
	}
	t := &task{self: m.task.Load().self, spec: spec}
	t.self.Transform = spec.Identity()
	if !t.self.Declared {
		t.self.Version = t.self.Transform
	}
	return t, nil
}
