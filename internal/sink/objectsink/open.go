package objectsink

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/chunkline/chunkline/internal/bucket"
	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/sink"
)

// openReads is how many entries are read at a time.
const openReads = 16

// Options are settings that are not in the spec.
type Options struct {
	ReadOnly bool // nothing is created or changed
	Existing bool // the job must exist
}

// Open opens the sink of a job at the prefix that spec names, and creates it if it does not exist. It ends early with
// ctx.
//
//	s3://BUCKET/PREFIX?format=jsonl.zst&size=64MiB
//
// or with another scheme of bucket.CutScheme. format is that of the parts with outputs: JSON Lines (jsonl, jsonl.gz,
// jsonl.zst) or a table (csv, csv.gz, csv.zst, parquet). size is the size of a part to aim at. With ReadOnly or
// Existing, job may be empty.
//
// Errors are ErrSettings, ErrUnreachable, ErrNotSink, ErrForeign, ErrFormat, ErrOtherJob, ErrFull and ErrDamaged.
func Open(ctx context.Context, spec, job string, o Options) (*Sink, error) {
	parsed, err := parse(spec)
	if err != nil {
		return nil, fmt.Errorf("sink %s: %w: %w", strings.TrimSuffix(parsed.scheme, "://"), err, sink.ErrSettings)
	}
	b, err := bucket.Open(parsed.scheme, parsed.bucket)
	if err != nil {
		return nil, fmt.Errorf("sink %s: %w: %w", parsed.at(), err, sink.ErrSettings)
	}
	return openIn(ctx, b, parsed, job, o)
}

// openIn opens a sink in a store, which it closes if it fails.
func openIn(ctx context.Context, in bucket.Bucket, parsed settings, job string, o Options) (*Sink, error) {
	s := &Sink{store: in, o: parsed, readOnly: o.ReadOnly, table: sink.NewTable()}
	s.View = sink.ViewOf("sink "+parsed.at(), s)
	s.Base = sink.BaseOf(func() *sink.Claims { return s.state.Load().claims })
	s.state.Store(&state{})
	if err := s.open(ctx, job, o); err != nil {
		return nil, errors.Join(fmt.Errorf("open %w", s.name(explain(err))), in.Close())
	}
	return s, nil
}

func (s *Sink) open(ctx context.Context, job string, o Options) error {
	if err := chunk.CheckJob(job); err != nil && (job != "" || !o.ReadOnly && !o.Existing) {
		return fmt.Errorf("%w: %w", err, sink.ErrSettings)
	}
	sizes, err := s.survey(ctx)
	if err != nil {
		return err
	}
	if len(sizes) == 0 {
		if o.ReadOnly || o.Existing {
			return fmt.Errorf("there is no job: no object matches %s: %w", s.url(s.o.prefix+logFolder+"*"), sink.ErrSettings)
		}
		if err := s.makeLog(ctx, job); err != nil {
			return err
		}
	}
	if err := s.load(ctx, sizes); err != nil {
		return err
	}
	if is := s.Job(); job != "" && is != job {
		return fmt.Errorf("%w: it holds job %s, not %s; use another prefix", sink.ErrOtherJob, is, job)
	}
	if o.ReadOnly || o.Existing {
		s.adoptSettings()
	}
	if o.ReadOnly {
		return nil
	}
	if _, _, _, err := s.readManifest(ctx); err != nil { // a job must not begin whose manifest would replace an object of others
		return err
	}
	return s.checkConditions(ctx)
}

// adoptSettings replaces the settings of the parts by those of the last Finish, if the spec has none.
func (s *Sink) adoptSettings() {
	if known := s.state.Load().generations; !s.o.given && len(known) > 0 {
		last := known[len(known)-1]
		s.o.format, s.o.size = last.Format, last.Size
	}
}

// survey returns the sizes of the log's entries. It refuses a prefix that has other objects and no log.
func (s *Sink) survey(ctx context.Context) ([]int64, error) {
	sizes := map[uint64]int64{}
	newest := uint64(0)
	err := s.store.List(ctx, s.o.prefix+logFolder, func(key, _ string, size int64) {
		if number := s.entryNumber(key); number > 0 {
			sizes[number] = size
			newest = max(newest, number)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("list the log: %w", err)
	}
	all := make([]int64, 0, len(sizes))
	for number := uint64(1); number <= newest; number++ {
		size, there := sizes[number]
		if !there {
			return nil, s.damaged(s.entryKey(number), errors.New("it is missing, and there are later entries of the log"))
		}
		all = append(all, size)
	}
	if newest > 0 {
		return all, nil
	}
	foreign := ""
	ctx, enough := context.WithCancel(ctx)
	defer enough()
	err = s.store.List(ctx, s.o.prefix, func(key, _ string, _ int64) {
		foreign = key
		enough()
	})
	if foreign != "" {
		return nil, fmt.Errorf("it holds other things (%s): use a new or an empty prefix: %w", s.url(foreign), sink.ErrNotSink)
	}
	if err != nil {
		return nil, fmt.Errorf("list objects: %w", err)
	}
	return nil, nil
}

// makeLog creates the log. Another process may be faster.
func (s *Sink) makeLog(ctx context.Context, job string) error {
	s.changing.Lock()
	defer s.changing.Unlock()
	first := &draft{entry: entry{Claims: &sink.Claims{Format: formatVersion, Job: job, ID: rand.Text()}}}
	if err := s.append(ctx, first); err != nil && !errors.Is(err, errTaken) {
		return err
	}
	return nil
}

// load reads and applies the entries that the survey found, and those that were created since.
func (s *Sink) load(ctx context.Context, sizes []int64) error {
	s.changing.Lock()
	defer s.changing.Unlock()
	number := s.state.Load().number
	for some := range slices.Chunk(sizes[min(number, uint64(len(sizes))):], openReads) {
		read := make([]*loaded, len(some))
		group, reading := errgroup.WithContext(ctx)
		for i := range some {
			group.Go(func() (err error) {
				read[i], err = s.read(reading, number+uint64(i)+1)
				return err
			})
		}
		if err := group.Wait(); err != nil {
			return err
		}
		for i, l := range read {
			if has := l.head.size(); has != some[i] {
				return s.damaged(s.entryKey(l.Number), fmt.Errorf("it has %d bytes, not %d", some[i], has))
			}
			if err := s.admit(l); err != nil {
				return err
			}
		}
		number += uint64(len(some))
	}
	if err := s.catchUp(ctx); err != nil {
		return err
	}
	if s.state.Load().claims == nil {
		return s.damaged(s.entryKey(1), errRecord)
	}
	return nil
}

// admit applies an entry, if it belongs to the same sink as the first.
func (s *Sink) admit(l *loaded) error {
	if id := s.id(); id != "" && l.Sink != id || l.Number == 1 && (l.Claims == nil || l.Claims.ID != l.Sink) {
		return s.damaged(s.entryKey(l.Number), errRecord)
	}
	s.apply(l)
	return nil
}

// checkConditions writes the first entry of the log again, which a server with conditional writes refuses. If the
// server accepts it, the entry is as before.
func (s *Sink) checkConditions(ctx context.Context) error {
	first, err := s.get(ctx, s.entryKey(1), 0, maxEntry)
	if err != nil {
		return fmt.Errorf("read the log: %w", err)
	}
	err = s.store.Write(ctx, s.entryKey(1), entryMediaType, first, "")
	switch {
	case errors.Is(err, bucket.ErrTaken):
		return nil
	case err == nil:
		return fmt.Errorf("its server overwrites objects although the request has a condition against that (If-None-Match: *), so two savers could destroy each other's results: "+
			"use a server with conditional writes: %w", sink.ErrSettings)
	}
	return fmt.Errorf("write to the log: %w", err)
}
