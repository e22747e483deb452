package retry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/transform"
)

// mapperName says in the sink's records who made a result.
const mapperName = "retry"

// Config is what is to be done.
type Config struct {
	Spec    transform.Spec
	Workers int
	Timeout time.Duration // for one object
}

// A Report counts dead letters.
type Report struct {
	Mended  uint64 `json:"mended"`   // have their outputs now
	Dead    uint64 `json:"dead"`     // are dead letters again
	Left    uint64 `json:"left"`     // cannot be read by any transform
	LaidOut bool   `json:"laid_out"` // the ordered files are as the folder is now
}

// ErrContradiction means that a chunk's dead letters, outputs and counts do not
// fit together. It is left as it is; verify says more.
var ErrContradiction = errors.New("dead letters and outputs do not fit together")

// Run maps the dead letters of a folder again. If the job was finished it lays
// out the result anew; when Run is ended before that, it is for the job's own
// fetcher to do, as with a job that is not finished. The report is right also
// beside an error.
func Run(ctx context.Context, folder *sink.Folder, cfg Config) (Report, error) {
	finished := folder.Summary().Output != ""
	var counts counts
	records := make(chan sink.Record)
	group, work := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer close(records)
		for r, err := range folder.Records(work) {
			if err != nil {
				return fmt.Errorf("read sink: %w", err)
			}
			if r.DeadCount == 0 {
				continue
			}
			select {
			case records <- r:
			case <-work.Done():
				return work.Err()
			}
		}
		return nil
	})
	ends := make([]error, cfg.Workers) // how each worker's program ended, which is for no other to end
	for i := range ends {
		group.Go(func() (err error) {
			ends[i], err = worker(work, folder, cfg, records, &counts)
			return err
		})
	}
	err := group.Wait()
	report := counts.report()
	if err == nil && finished {
		total := folder.Summary()
		_, err = folder.Finish(ctx, total.Chunks, total.Objects)
	}
	report.LaidOut = folder.Summary().Output != ""
	return report, errors.Join(errors.Join(ends...), err)
}

type counts struct{ mended, dead, left atomic.Uint64 }

func (c *counts) report() Report {
	return Report{Mended: c.mended.Load(), Dead: c.dead.Load(), Left: c.left.Load()}
}

func worker(ctx context.Context, folder *sink.Folder, cfg Config, records <-chan sink.Record, counts *counts) (end, err error) {
	mapping, err := cfg.Spec.New()
	if err != nil {
		return nil, fmt.Errorf("start transform %s: %w", cfg.Spec, err)
	}
	defer func() { end = mapping.Close() }()
	for r := range records {
		if err := mend(ctx, folder, cfg, mapping, r, counts); err != nil {
			return nil, fmt.Errorf("chunk %d: %w", r.Chunk, err)
		}
	}
	return nil, nil
}

// mend maps the dead letters of one chunk again and replaces its result.
func mend(ctx context.Context, folder *sink.Folder, cfg Config, mapping transform.Transform, r sink.Record, counts *counts) error {
	letters, err := lettersOf(folder, r)
	if err != nil {
		return err
	}
	var again []chunk.DeadLetter // those that can be mapped
	var body []byte
	for _, l := range letters {
		if l.Attempts > 0 {
			again = append(again, l)
			body = append(append(body, l.Object...), '\n')
		}
	}
	counts.left.Add(uint64(len(letters) - len(again)))
	if len(again) == 0 {
		return nil
	}
	out, err := transform.Run(ctx, mapping, body, nil, transform.Options{Timeout: cfg.Timeout})
	if err != nil {
		return err
	}
	outputs, err := folder.Outputs(nil, r)
	if err != nil {
		return err
	}
	if uint64(bytes.Count(outputs, []byte{'\n'})) != r.OutputCount() {
		return ErrContradiction
	}
	result, err := merge(r, outputs, letters, out, cfg.Spec.Identity())
	if err != nil {
		return err
	}
	if err := folder.Replace(ctx, result); err != nil {
		return err
	}
	counts.dead.Add(uint64(len(out.Failed)))
	counts.mended.Add(uint64(len(again) - len(out.Failed)))
	return nil
}

func lettersOf(folder *sink.Folder, r sink.Record) ([]chunk.DeadLetter, error) {
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

// merge puts new outputs in their places among the old ones. Letters that were
// not mapped again, and those that failed again, stay.
func merge(r sink.Record, old []byte, letters []chunk.DeadLetter, out transform.Output, version string) (sink.Result, error) {
	result := merged{sink.Result{
		Chunk: r.Chunk, First: r.First, Objects: r.Objects, Digest: r.Digest, Counts: make([]int, r.Objects),
		Attempt: r.Attempt + 1, Mapper: mapperName, Version: version, Transform: version,
	}}
	fresh, mapped, failed := out.Lines, 0, out.Failed
	for i := range r.Objects {
		if len(letters) == 0 || letters[0].Ordinal != r.First+uint64(i) {
			result.take(i, &old, r.Counts[i])
			continue
		}
		l := letters[0]
		letters = letters[1:]
		switch {
		case l.Attempts == 0: // never mapped, not now either
			result.keep(l)
			continue
		case len(failed) > 0 && failed[0].Index == mapped:
			l.Error, l.Attempts, l.Mapper, l.Version = failed[0].Err, l.Attempts+1, mapperName, version
			failed = failed[1:]
			result.keep(l)
		default:
			result.take(i, &fresh, out.Counts[mapped])
		}
		mapped++
	}
	if len(letters)+len(old)+len(fresh) > 0 {
		return sink.Result{}, ErrContradiction
	}
	return result.Result, nil
}

// merged is a result in the making.
type merged struct{ sink.Result }

// take moves the next n lines to the outputs of object i.
func (m *merged) take(i int, lines *[]byte, n int) {
	m.Counts[i] = n
	end := 0
	for range n {
		end += bytes.IndexByte((*lines)[end:], '\n') + 1
	}
	m.Outputs = append(m.Outputs, (*lines)[:end]...)
	*lines = (*lines)[end:]
}

// keep leaves an object a dead letter.
func (m *merged) keep(l chunk.DeadLetter) {
	m.Dead = l.Append(m.Dead)
	m.DeadCount++
}
