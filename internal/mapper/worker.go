package mapper

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/failpoint"
	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/internal/trace"
	"github.com/chunkline/chunkline/internal/transform"
	"github.com/chunkline/chunkline/internal/wire"
)

var (
	errDropped   = errors.New("chunk is saved already or was given back")
	errOtherPlan = errors.New("job runs by another plan now")
)

// worker asks for chunks and maps them until asking ends, then waits for its
// results to be saved. Work in hand ends with work.
func (m *Mapper) worker(asking, work context.Context, index int) error {
	saving := new(errgroup.Group)
	var tool tool
	err := m.workLoop(asking, work, index, &tool, saving)
	return errors.Join(err, saving.Wait(), tool.close())
}

// A tool is the transform of a worker, made for a task.
type tool struct {
	transform.Transform
	of *task
}

// fit makes the tool one for t.
func (l *tool) fit(m *Mapper, t *task) error {
	if l.of == t {
		return nil
	}
	if err := l.close(); err != nil {
		return err
	}
	var err error
	if l.Transform, err = m.make(t); err != nil {
		return fmt.Errorf("start transform %s: %w", t.spec, err)
	}
	l.of = t
	return nil
}

func (l *tool) close() error {
	if l.of == nil {
		return nil
	}
	l.of = nil
	if err := l.Close(); err != nil {
		return fmt.Errorf("close transform: %w", err)
	}
	return nil
}

func (m *Mapper) workLoop(asking, work context.Context, index int, tool *tool, saving *errgroup.Group) error {
	pause := m.backoff(uint64(index))
	for {
		reserved, err := m.reserve(asking)
		if err != nil {
			return nil //nolint:nilerr // asking has ended, which is no failure
		}
		ctx, cancel := context.WithCancelCause(work)
		begin := time.Now()
		task := m.task.Load()
		hello := m.hellos.next() // before asking, so that one that comes meanwhile counts
		got, verdict := m.next(asking, index, task.self, cancel)
		if verdict != haveWork {
			m.room.becomes(reserved, 0)
		}
		switch verdict {
		case haveWork:
			if task.self.Transform == "" { // a fetcher should not give any; it sees that the chunk is not held
				m.state.release(got)
				cancel(nil)
				sleep(asking, pause.next(), hello)
				continue
			}
			failpoint.Hit("mapper.chunk.taken")
			pause.reset()
			m.metrics.waited(time.Since(begin))
		case askAgain:
			cancel(nil)
			pause.reset()
			continue
		case askLater:
			cancel(nil)
			sleep(asking, pause.next(), hello)
			continue
		case jobDone:
			cancel(nil)
			sleep(asking, donePause, hello)
			continue
		}
		taken := m.room.took(reserved, len(got.Chunk.Body))
		var save wire.Save
		if err = tool.fit(m, task); err == nil {
			save, err = m.mapChunk(ctx, tool, got)
		}
		if err != nil {
			m.state.release(got)
			m.room.becomes(taken, 0)
			m.signs.ends(got.Chunk.ID)
			dropped := ctx.Err() != nil
			cancel(nil)
			if dropped {
				continue
			}
			return err
		}
		parcel := m.pack(save, time.Now())      //nolint:contextcheck // a span has its parent in the message
		got.Chunk.Body, save = nil, wire.Save{} // an outage of the saver keeps results, not what they were made from
		taken = m.room.becomes(taken, parcel.cost())
		m.waiting.Add(1)
		saving.Go(func() error {
			defer cancel(nil)
			defer m.room.becomes(taken, 0)
			defer m.waiting.Add(-1)
			defer m.state.release(got)
			m.save(ctx, parcel)
			m.signs.ends(got.Chunk.ID)
			return nil
		})
	}
}

// mapChunk maps one chunk. An error means that the chunk was dropped, or that
// the transform itself is broken.
func (m *Mapper) mapChunk(ctx context.Context, tool *tool, w wire.Work) (save wire.Save, err error) {
	options := transform.Options{Timeout: m.cfg.Timeout, Retries: m.cfg.Retries, Retrying: m.retrying(w, tool.of.spec.Kind())}
	if !w.Shadow { // the objects of a shadow are saved
		options.After = m.signs.of(w.Chunk.ID)
	}
	if w.Careful {
		options.Before = func(index int) error { return m.announce(ctx, w.Chunk.ID, index) }
	}
	m.metrics.busy.Add(1)
	defer m.metrics.busy.Add(-1)
	begin := time.Now()
	span, place := m.span(trace.Map, begin, w.Chunk.ID, w.Attempt, w.Trace)
	defer func() { span.Fail(err); span.End() }()
	out, err := transform.Run(ctx, tool.Transform, w.Chunk.Body, slices.Concat(w.Chunk.Bad, w.Skip, m.drill.spoil(w.Chunk.Count)), options)
	if err != nil {
		return wire.Save{}, fmt.Errorf("map chunk %d: %w", w.Chunk.ID, err)
	}
	if w.Careful { // whatever kills this process now, it is no object of the chunk
		if err := m.announce(ctx, w.Chunk.ID, w.Chunk.Count); err != nil {
			return wire.Save{}, err
		}
	}
	failpoint.Hit("mapper.chunk.mapped")
	m.metrics.mapped(time.Since(begin), w, out)
	span.Number("dead", uint64(len(out.Failed)))
	save = wire.Save{
		Plan: w.Plan, Epoch: w.Epoch, Chunk: w.Chunk.ID, First: w.Chunk.First, Objects: w.Chunk.Count,
		Attempt: w.Attempt, Digest: w.Digest, Token: w.Token, Mapper: tool.of.self,
		Counts: out.Counts, Outputs: out.Lines, DeadCount: len(out.Failed), Shadow: w.Shadow, Trace: place,
	}
	if len(out.Failed) > 0 {
		save.Dead = m.deadLetters(w, tool.of.self, out.Failed)
	}
	m.metrics.made(save)
	return save, nil
}

// retrying returns what notes that an object of a chunk will be tried again.
func (m *Mapper) retrying(w wire.Work, kind string) func(transform.Retry) {
	return func(r transform.Retry) {
		m.metrics.retried(kind)
		m.log.Debug().Uint64("chunk", uint64(w.Chunk.ID)).Int("attempt", w.Attempt).Uint64("ordinal", w.Chunk.First+uint64(r.Index)).
			Int("try", r.Try).Stringer("after", r.Wait).Str("reason", r.Err).Msg("object will be tried again")
	}
}

// deadLetters writes one record for each object that failed. An object that the
// source could not read never reached a transform: it has no attempt.
func (m *Mapper) deadLetters(w wire.Work, self report.Mapper, failed []transform.Failure) []byte {
	var lines []byte
	for i, object := range chunk.Objects(w.Chunk.Body) {
		if len(failed) == 0 {
			break
		}
		if failed[0].Index != i {
			continue
		}
		letter := chunk.DeadLetter{Ordinal: w.Chunk.First + uint64(i), Chunk: w.Chunk.ID, Error: failed[0].Err, Object: object}
		if !isFlawed(w.Chunk.Bad, i) {
			letter.Attempts, letter.Mapper, letter.Version = w.Attempt, self.Name, self.Version
		}
		lines = letter.Append(lines)
		failed = failed[1:]
	}
	return lines
}
