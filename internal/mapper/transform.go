package mapper

import (
	"errors"
	"fmt"

	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/internal/transform"
	"github.com/chunkline/chunkline/internal/wire"
)

// A task is the transform that the mapper applies to objects, and the name and version under which it does. A task is
// never changed, only replaced by another one.
type task struct {
	self report.Mapper
	spec transform.Spec // zero while self.Transform is "": the fetcher has not named a transform yet
}

// make makes the transform of a task for one worker.
func (m *Mapper) make(t *task) (transform.Transform, error) {
	spec := t.spec
	spec.InProcess, spec.EndTimeout, spec.Stderr = m.inProcess, m.cfg.EndTimeout, m.stderr
	spec.Credentials, spec.Dial = m.cfg.credentials(), m.dial
	spec.Warn = func(text string) {
		m.failures.warn(text)
		m.log.Warn().Str("transform", t.self.Transform).Msg(text)
	}
	return spec.New()
}

// An instance is a worker's own instance of the transform, made for a task.
type instance struct {
	transform.Transform
	of     *task   // nil: closed, or not made yet
	growth float64 // bytes of outputs for a byte of objects, in the last piece; 0: unknown
}

// prepare makes the instance for t, after it has closed one for another task.
func (i *instance) prepare(m *Mapper, t *task) error {
	if i.of == t {
		return nil
	}
	if err := i.close(); err != nil {
		return err
	}
	var err error
	if i.Transform, err = m.make(t); err != nil {
		return fmt.Errorf("start transform %s: %w", t.spec, err)
	}
	i.of, i.growth = t, 0
	return nil
}

func (i *instance) close() error {
	if i.of == nil {
		return nil
	}
	i.of = nil
	if err := i.Close(); err != nil {
		return fmt.Errorf("close transform: %w", err)
	}
	return nil
}

// refusedError is the fetcher's reason for giving no work.
type refusedError string

func (e refusedError) Error() string { return string(e) }

// refused handles a fetcher's refusal to give work, and reports whether to ask again at once. A mapper without a
// transform of its own takes the job's transform from the refusal. If the mapper's version is not set, the transform
// becomes the version. So the mapper may take the transform of the next job as well.
func (m *Mapper) refused(w wire.Work) bool {
	now := m.task.Load()
	if m.cfg.Transform != "" || w.Transform == "" || transform.Is(now.self.Transform, w.Transform) {
		m.outages.refusal.Note(refusedError(w.Reason))
		return false
	}
	next, err := m.taskOf(w.Transform)
	if err != nil {
		m.outages.refusal.Note(fmt.Errorf("take the job's transform: %w", err))
		return false
	}
	if m.task.CompareAndSwap(now, next) {
		m.failures.restart()
		m.pace.restart()
		m.log.Info().Str("transform", next.self.Transform).Msg("mapper takes the job's transform")
	}
	return true
}

// errExec protects the mapper from a forged refusal: without it, any client that can imitate the fetcher could run
// programs on this machine, and send requests with this mapper's token to any service.
var errExec = errors.New("it runs a program or calls a service: set TRANSFORM here as well, or ALLOW_EXEC=true to accept the fetcher's")

// taskOf makes a task of the job's transform.
func (m *Mapper) taskOf(setting string) (*task, error) {
	if transform.CallsOut(setting) && !m.cfg.AllowExec {
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
