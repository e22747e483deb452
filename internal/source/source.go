package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync/atomic"

	"github.com/chunkline/chunkline/internal/chunk"
)

var (
	// ErrSettings means that the source or the chunk size asked for cannot
	// be used: a wrong word, no such file, not readable. Open returns it;
	// the text names the item and what would be right.
	ErrSettings = errors.New("wrong source")

	// ErrChanged means that a chunk cannot be read again because its file
	// ends too early now, or holds less. Reread returns it. The job cannot
	// go on with this source.
	ErrChanged = errors.New("source changed")
)

// A Source gives the chunks of a job.
type Source interface {
	// Identity names the source in the plan: what it is called, not what is
	// in it. It is the list of the files' names as they were given, globs
	// expanded, or "stdin". A list of more than 4 KiB is shortened, with a
	// hash of all of it.
	Identity() string

	// Plan returns the plan by which the source is cut.
	Plan() chunk.Plan

	// Next returns the next chunk and what Reread needs to return it again.
	// Behind the last chunk it returns io.EOF. Other errors name file and
	// offset, or are that of ctx; they are final: all later calls return
	// the same. One goroutine at a time may call it.
	Next(ctx context.Context) (chunk.Chunk, Mark, error)

	// Reread returns the chunk of a mark as the files are now. It returns
	// ErrChanged if they no longer hold so many objects from there on, and
	// errors.ErrUnsupported if not Rereads. Any number of goroutines may
	// call it, and call it while Next runs.
	Reread(ctx context.Context, m Mark) (chunk.Chunk, error)

	// Rereads says whether Reread works. It does not if anything of the
	// source is compressed or is not a regular file: then the caller keeps
	// the chunks until they are saved.
	Rereads() bool

	// Progress returns how many bytes Next has read of how many there were
	// when the source was opened: of compressed files compressed bytes. The
	// total is 0 if it is not known. Any goroutine may call it.
	Progress() (read, total int64)

	// Close ends the source. Next must have returned. A read of stdin or of
	// a named pipe that waits for data cannot be ended: its goroutine ends
	// when data or the end comes, or with the process.
	Close() error
}

// A Mark says where a chunk begins. It is small and comparable, and valid for
// every source with the same plan.
type Mark struct {
	chunk.Place
	ID    chunk.ID
	First uint64 // ordinal of the first object
	Count int    // objects
}

// rereadBuffer is what reading one chunk again needs, unless its objects are
// larger.
const rereadBuffer = 64 << 10

// files is a source of one or more files, or stdin.
type files struct {
	list    []file       // set by Open, then read-only
	plan    chunk.Plan   // set by Open, then read-only
	total   int64        // set by Open, then read-only
	rereads bool         // set by Open, then read-only
	oneLine chunk.Format // how a file of one line that is an array is read; set by Open, then read-only
	read    atomic.Int64 // written by Next

	// Only Next and Close.
	walk   *walk
	cutter *chunk.Cutter
}

// Open opens the source that spec names, to be cut into chunks of at most size
// objects and, if there is more than one object in a chunk, bytes bytes. It
// returns ErrSettings if that cannot be done. The files are looked at but not
// kept open. The caller must Close the source.
func Open(spec string, size, bytes int, stdin io.Reader) (Source, error) {
	return OpenWith(Options{Size: size, Bytes: bytes, Stdin: stdin}, spec)
}

// Options are the settings of a source.
type Options struct {
	Format  chunk.Format // of items that do not name one
	Size    int          // most objects in a chunk
	Bytes   int          // most bytes in a chunk of several objects
	Stdin   io.Reader    // nil: there is none
	Written []string     // files and folders that the job writes: a glob leaves them out, and to name one is an error
}

// OpenWith is Open with all options.
func OpenWith(o Options, spec string) (Source, error) {
	list, err := expand(spec, o.Format, o.Stdin, newWritten(o.Written))
	if err != nil {
		return nil, err
	}
	s := &files{list: list, rereads: true}
	var found formats
	for i := range list {
		compressed, err := list[i].examine(&found)
		if err != nil {
			return nil, err
		}
		s.total += list[i].size
		s.rereads = s.rereads && list[i].regular && !compressed
	}
	if err := once(list); err != nil {
		return nil, err
	}
	if s.oneLine, err = found.settle(); err != nil {
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
	s.walk = &walk{list: list, oneLine: s.oneLine, formats: &found, read: &s.read}
	s.cutter = chunk.NewCutter(s.plan, 0, 0, s.walk.next)
	return s, nil
}

func (s *files) Identity() string { return s.plan.Source }
func (s *files) Plan() chunk.Plan { return s.plan }
func (s *files) Rereads() bool    { return s.rereads }
func (s *files) Close() error     { return s.walk.close() }

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
	plan.Size = m.Count // so that nothing is read behind the chunk
	c, _, err := chunk.NewCutter(plan, m.ID, m.First, w.next).Next()
	_, cannotCut := errors.AsType[*chunk.InputError](err)
	switch {
	case err == nil && c.Count == m.Count:
		return c, nil
	case cannotCut, errors.Is(err, fs.ErrNotExist): // it could be cut before
		err = fmt.Errorf("%w: %w", ErrChanged, err)
	case err == nil, err == io.EOF: //nolint:errorlint // only io.EOF itself is the end
		err = fmt.Errorf("%w: %d objects where there were %d, from %s, line %d, byte %d on",
			ErrChanged, c.Count, m.Count, s.list[m.File].word(), m.Line, m.Offset)
	}
	return chunk.Chunk{}, fmt.Errorf("read chunk %d again: %w", m.ID, err)
}
