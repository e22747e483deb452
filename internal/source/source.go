package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync/atomic"

	"github.com/chunkline/chunkline/internal/bucket"
	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/webservice"
)

var (
	// ErrSettings means that the source or the chunk size cannot be used: a wrong item, a missing or unreadable file.
	// Open returns it; the text names the item and how to correct it.
	ErrSettings = errors.New("wrong source")

	// ErrAway means that object storage was not reached, or could not answer. Another try may succeed.
	ErrAway = errors.New("object storage does not answer")

	// ErrChanged means that a chunk cannot be read again, because its file has
	// become shorter or holds fewer objects. Reread returns it. The job cannot
	// continue with this source.
	ErrChanged = errors.New("source changed")
)

// A Source returns the chunks of a job.
type Source interface {
	// Identity names the source in the plan. It is the list of the files' names as the user gave them, with globs
	// expanded, or "stdin", and says nothing about their content. A list of more than 4 KiB is shortened and ends in a
	// hash of the whole.
	Identity() string

	// Plan returns the plan by which the source is cut.
	Plan() chunk.Plan

	// Next returns the next chunk and the mark with which Reread returns it again. After the last chunk it returns
	// io.EOF. Other errors name file and offset, or are the error of ctx; they are final: all later calls return the
	// same error. Only one goroutine at a time may call Next.
	Next(ctx context.Context) (chunk.Chunk, Mark, error)

	// Reread returns the chunk at a mark from the current content of the files. It returns ErrChanged if the files no
	// longer hold that many objects from there on, and errors.ErrUnsupported unless Rereads. Any number of goroutines
	// may call it, also while Next runs.
	Reread(ctx context.Context, m Mark) (chunk.Chunk, error)

	// Rereads reports whether Reread works. It does not if any file of the source is compressed or not a regular file;
	// the caller then keeps the chunks until they are saved.
	Rereads() bool

	// Progress returns how many bytes Next has read and how many there were when the source was opened; for compressed
	// files these are compressed bytes, and each row of a Parquet file is an equal share of its bytes. The total is 0
	// if it is unknown. Any goroutine may call it.
	Progress() (read, total int64)

	// Close closes the source. Next must have returned. A read of stdin or of a named pipe that waits for data cannot
	// be interrupted: its goroutine ends when data or the end comes, or with the process.
	Close() error
}

// A Mark is the position and the size of a chunk. It is small and comparable, and valid for every source with the same
// plan.
type Mark struct {
	chunk.Place
	ID    chunk.ID
	First uint64 // ordinal of the first object
	Count int    // objects
}

// rereadBuffer is the size of the buffer for reading a chunk again, unless its objects are larger.
const rereadBuffer = 64 << 10

// files is a source of one or more files, or stdin.
type files struct {
	// Set by Open, then read-only.
	list    []file
	plan    chunk.Plan
	total   int64
	rereads bool
	oneLine chunk.Format // the format of files that hold one array on one line
	buckets *buckets

	read atomic.Int64 // written by Next

	// Used by Next and Close only.
	walk   *walk
	cutter *chunk.Cutter
}

// Options are the settings of a source.
type Options struct {
	Format  Format    // of items without a format
	Size    int       // most objects in a chunk
	Bytes   int       // most bytes in a chunk of several objects
	Stdin   io.Reader // standard input; nil if there is none
	Written []string  // files and folders that the job writes: globs leave them out, and naming one is an error

	// Spool is the file to which a command, an API or standard input is written before it is cut, so that a later run
	// of the job has the same bytes. The first Next creates it, in a folder that exists, and only one source at a time
	// may use it. Empty: a stream is not spooled.
	Spool string
	// Replay reads a stream only from Spool, which must hold all of it.
	Replay bool

	Credentials webservice.Credentials // of an API
	Stderr      io.Writer              // gets the standard error of a command; nil means os.Stderr

	openBucket func(scheme, name string) (bucket.Bucket, error) // nil: bucket.Open
	buckets    *buckets                                         // set by Open
	dial       dialer                                           // connects to an API, for tests in simulated time; nil means the network
}

// Open opens the source that spec names, to be cut into chunks. It returns ErrSettings if spec or the limits are wrong.
// It examines the files and does not keep them open. The caller must Close the source.
func Open(o Options, spec string) (_ Source, err error) {
	if o.openBucket == nil {
		o.openBucket = bucket.Open
	}
	o.buckets = &buckets{openBucket: o.openBucket, open: make(map[string]*opened)}
	s := &files{rereads: true, buckets: o.buckets}
	defer func() {
		if err != nil {
			_ = s.buckets.close() // the caller gets no source
		}
	}()
	list, err := expand(o, spec)
	if err != nil {
		return nil, err
	}
	s.list = list
	results, err := examineAll(list)
	if err != nil {
		return nil, err
	}
	var found formats
	for i, f := range list {
		found.add(results[i].guess, f.word())
		s.total += f.size
		s.rereads = s.rereads && f.regular && !results[i].compressed
	}
	if err := once(list); err != nil {
		return nil, err
	}
	if s.oneLine, err = found.oneLineFormat(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSettings, err)
	}
	for _, f := range list {
		if !f.regular {
			s.total = 0
		}
	}
	s.plan = chunk.Plan{Source: identity(list), Size: o.Size, Bytes: o.Bytes, Format: chunk.FormatVersion}
	if err := s.plan.Validate(); err != nil {
		return nil, fmt.Errorf("%w settings: %w", ErrSettings, err)
	}
	s.walk = &walk{list: list, oneLine: s.oneLine, formats: &found, read: &s.read, spool: o.Spool, replay: o.Replay}
	s.cutter = chunk.NewCutter(s.plan, 0, 0, s.walk.next)
	return s, nil
}

func (s *files) Identity() string { return s.plan.Source }
func (s *files) Plan() chunk.Plan { return s.plan }
func (s *files) Rereads() bool    { return s.rereads }
func (s *files) Close() error     { return errors.Join(s.walk.close(), s.buckets.close()) }

func (s *files) Progress() (read, total int64) {
	return s.read.Load(), s.total
}

func (s *files) Next(ctx context.Context) (chunk.Chunk, Mark, error) {
	s.walk.ctx = ctx
	c, at, err := s.cutter.Next()
	if err != nil {
		return chunk.Chunk{}, Mark{}, err
	}
	return c, Mark{Place: at, ID: c.ID, First: c.First, Count: c.Count}, nil
}

func (s *files) Reread(ctx context.Context, m Mark) (_ chunk.Chunk, err error) {
	switch {
	case !s.rereads:
		return chunk.Chunk{}, fmt.Errorf("read chunk %d again: %w: the source is compressed or a stream", m.ID, errors.ErrUnsupported)
	case m.File < 0 || m.File >= len(s.list) || m.Count < 1 || m.Count > s.plan.Size:
		return chunk.Chunk{}, fmt.Errorf("read chunk %d again: the mark %+v is not of this source", m.ID, m)
	}
	w := &walk{list: s.list, oneLine: s.oneLine, at: m.Place, buffer: rereadBuffer, ctx: ctx}
	defer func() { err = errors.Join(err, w.close()) }()
	plan := s.plan
	plan.Size = m.Count // read nothing after the chunk
	c, _, err := chunk.NewCutter(plan, m.ID, m.First, w.next).Next()
	_, cannotCut := errors.AsType[*chunk.InputError](err)
	cannotCut = cannotCut || errors.Is(err, errParquet)
	switch {
	case err == nil && c.Count == m.Count:
		return c, nil
	case cannotCut, errors.Is(err, fs.ErrNotExist): // it could be cut when it was first read
		err = fmt.Errorf("%w: %w", ErrChanged, err)
	case err == nil, err == io.EOF: //nolint:errorlint // only io.EOF itself is the end
		err = fmt.Errorf("%w: %d objects instead of %d, from %s on", ErrChanged, c.Count, m.Count, s.list[m.File].where(m.Place))
	}
	return chunk.Chunk{}, fmt.Errorf("read chunk %d again: %w", m.ID, err)
}
