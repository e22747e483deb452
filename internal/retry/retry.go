package retry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/source"
	"github.com/chunkline/chunkline/internal/transform"
)

// mapperName is the mapper's name in the sink's records of results made here.
const mapperName = "retry"

// Config says how to map the dead letters.
type Config struct {
	Spec    transform.Spec
	Workers int
	Timeout time.Duration // for one object
	Retries int           // of an object whose failure is temporary
	Rate    float64       // most first tries of objects a second; 0: no limit

	// Source opens the job's source again, for dead letters that do not have their object: those whose outputs the sink
	// refused. It is called for the first of them; nil: there are none.
	Source func() (source.Source, error)
}

// A Sink has the methods of a sink that Run needs.
type Sink interface {
	Records(ctx context.Context) iter.Seq2[sink.Record, error]
	Outputs(b []byte, r sink.Record) ([]byte, error)
	DeadLetters(b []byte, r sink.Record) ([]byte, error)
	// Replace may turn objects whose outputs do not fit the sink into dead letters, also in results.
	Replace(ctx context.Context, old sink.Record, results ...sink.Result) error
	Finish(ctx context.Context, chunks, objects uint64) (sink.Summary, error)
	Summary() sink.Summary
}

// A Report counts dead letters.
type Report struct {
	Mapped     uint64 `json:"mapped"`     // have outputs now
	Failed     uint64 `json:"failed"`     // are dead letters again
	Unreadable uint64 `json:"unreadable"` // no transform can read them; they were not tried
	Merged     bool   `json:"merged"`     // the ordered output files match the folder
}

// A piece is a committed piece with dead letters to map again.
type piece struct {
	record  sink.Record
	letters []chunk.DeadLetter
}

// ErrContradiction means that the dead letters, outputs and counts of a piece do not match. The piece is left
// unchanged; verify reports the details.
var ErrContradiction = errors.New("dead letters and outputs do not match")

// Run maps the dead letters of a folder again. If the job was finished, it then writes the ordered output again. If Run
// ends before that, or if the job was not finished, the job's own fetcher does so. The report is valid even if Run
// returns an error.
func Run(ctx context.Context, folder Sink, cfg Config) (Report, error) {
	before := folder.Summary()
	j := &job{folder: folder, cfg: cfg, pace: newPace(cfg.Rate, cfg.Spec.AtOnce()), pieces: make(chan piece)}
	group, work := errgroup.WithContext(ctx)
	group.Go(func() error { return j.read(work) })
	ends := make([]error, cfg.Workers) // how each worker's program exited; it does not stop the other workers
	for i := range ends {
		group.Go(func() (err error) {
			ends[i], err = j.work(work)
			return err
		})
	}
	err := group.Wait()
	report := Report{Mapped: j.mapped.Load(), Failed: j.failed.Load(), Unreadable: j.unreadable.Load()}
	if err == nil && before.Output != "" {
		// The counts are those of before: if redo has removed results meanwhile, the job is not complete.
		if _, err = folder.Finish(ctx, before.Chunks, before.Objects); errors.Is(err, sink.ErrIncomplete) {
			err = nil
		}
	}
	report.Merged = folder.Summary().Output != ""
	return report, errors.Join(errors.Join(ends...), err)
}

// A job is one call of Run.
type job struct {
	folder Sink
	cfg    Config
	pace   pace
	pieces chan piece // from read to all workers

	mapped, failed, unreadable atomic.Uint64 // see Report
}

// read passes on the pieces that have dead letters.
func (j *job) read(ctx context.Context) error {
	defer close(j.pieces)
	again := rereader{open: j.cfg.Source}
	defer again.close()
	for r, err := range j.folder.Records(ctx) {
		if err != nil {
			return fmt.Errorf("read sink: %w", err)
		}
		if r.DeadCount == 0 {
			continue
		}
		letters, err := lettersOf(j.folder, r)
		if err == nil {
			err = again.fill(ctx, r, letters)
		}
		if err != nil {
			return fmt.Errorf("chunk %d: %w", r.Chunk, err)
		}
		select {
		case j.pieces <- piece{r, letters}:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// work is one worker.
func (j *job) work(ctx context.Context) (end, err error) {
	mapping, err := j.cfg.Spec.New()
	if err != nil {
		return nil, fmt.Errorf("start transform %s: %w", j.cfg.Spec, err)
	}
	defer func() { end = mapping.Close() }()
	for p := range j.pieces {
		if err := j.retry(ctx, mapping, p.record, p.letters); err != nil {
			return nil, fmt.Errorf("chunk %d: %w", p.record.Chunk, err)
		}
	}
	return nil, nil
}

// retry maps the dead letters of one piece of a chunk again and replaces its result.
func (j *job) retry(ctx context.Context, mapping transform.Transform, r sink.Record, letters []chunk.DeadLetter) error {
	var again [][]byte // the objects that a transform can read
	for _, l := range letters {
		if l.Attempts > 0 {
			again = append(again, l.Object)
		}
	}
	j.unreadable.Add(uint64(len(letters) - len(again)))
	if len(again) == 0 {
		return nil
	}
	out, err := j.pace.run(ctx, mapping, again, transform.Options{Timeout: j.cfg.Timeout, Retries: j.cfg.Retries})
	if err != nil {
		return err
	}
	outputs, err := j.folder.Outputs(nil, r)
	if err != nil {
		return err
	}
	if uint64(bytes.Count(outputs, []byte{'\n'})) != r.OutputCount() {
		return ErrContradiction
	}
	results, err := merge(r, outputs, letters, out, j.cfg.Spec.Identity())
	if err != nil {
		return err
	}
	if err := j.folder.Replace(ctx, r, results...); err != nil {
		return err
	}
	failed := len(again) - len(letters) // without those that were not mapped again
	for _, result := range results {
		failed += result.DeadCount
	}
	failed = min(failed, len(again)) // the sink may have refused outputs of before, too
	j.failed.Add(uint64(failed))
	j.mapped.Add(uint64(len(again) - failed))
	return nil
}

func lettersOf(folder Sink, r sink.Record) ([]chunk.DeadLetter, error) {
	lines, err := folder.DeadLetters(nil, r)
	if err != nil {
		return nil, err
	}
	letters := make([]chunk.DeadLetter, 0, r.DeadCount)
	for _, line := range chunk.Objects(lines) {
		l, err := chunk.ParseDeadLetter(line)
		if err != nil {
			return nil, err
		}
		letters = append(letters, l)
	}
	return letters, nil
}

// merge inserts the new outputs among the old ones. Letters that were not mapped again, and those that failed again,
// stay. Objects that were mapped again become pieces of their own, so that redo finds what each version has made.
func merge(r sink.Record, old []byte, letters []chunk.DeadLetter, out transform.Output, version string) ([]sink.Result, error) {
	m := merger{of: r}
	fresh, mapped, failed := out.Lines, 0, out.Failed
	for i := range r.Objects {
		if len(letters) == 0 || letters[0].Ordinal != r.First+uint64(i) {
			m.pieceOf(r.Version).addOutputs(&old, r.Counts[i])
			continue
		}
		l := letters[0]
		letters = letters[1:]
		switch {
		case l.Attempts == 0: // no transform can read it
			m.pieceOf(r.Version).addDead(l)
			continue
		case len(failed) > 0 && failed[0].Index == mapped:
			l.Error, l.Attempts, l.Mapper, l.Version = failed[0].Err, l.Attempts+1, mapperName, version
			failed = failed[1:]
			m.pieceOf(version).addDead(l)
		default:
			m.pieceOf(version).addOutputs(&fresh, out.Counts[mapped])
		}
		mapped++
	}
	if len(letters)+len(old)+len(fresh) > 0 {
		return nil, ErrContradiction
	}
	return m.pieces, nil
}

// A merger collects the results of consecutive objects of a piece.
type merger struct {
	of      sink.Record
	objects int // collected so far
	pieces  []sink.Result
}

// pieceOf returns the piece of a version for the next object: the last one, or a new one.
func (m *merger) pieceOf(version string) *resultBuilder {
	if n := len(m.pieces); n == 0 || m.pieces[n-1].Version != version {
		r := sink.Result{
			Chunk: m.of.Chunk, From: m.of.From + m.objects, Of: m.of.Of, First: m.of.First + uint64(m.objects), Digest: m.of.Digest,
			Attempt: m.of.Attempt, Mapper: m.of.Mapper, Version: version,
		}
		if version != m.of.Version {
			r.Attempt, r.Mapper, r.Transform = m.of.Attempt+1, mapperName, version
		}
		m.pieces = append(m.pieces, r)
	}
	m.objects++
	return (*resultBuilder)(&m.pieces[len(m.pieces)-1])
}

// A resultBuilder adds objects to a result.
type resultBuilder sink.Result

// addOutputs adds an object whose outputs are the next n lines.
func (m *resultBuilder) addOutputs(lines *[]byte, n int) {
	end := 0
	for range n {
		end += bytes.IndexByte((*lines)[end:], '\n') + 1
	}
	m.Objects++
	m.Counts = append(m.Counts, n)
	m.Outputs = append(m.Outputs, (*lines)[:end]...)
	*lines = (*lines)[end:]
}

// addDead adds an object that stays a dead letter.
func (m *resultBuilder) addDead(l chunk.DeadLetter) {
	m.Objects++
	m.Counts = append(m.Counts, 0)
	m.Dead = l.Append(m.Dead)
	m.DeadCount++
}
