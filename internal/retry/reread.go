package retry

import (
	"context"
	"errors"
	"fmt"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/source"
)

// ErrSourceChanged means that the source no longer has the objects that the job was made from.
var ErrSourceChanged = errors.New("source has changed")

// A rereader reads objects from the source again. Chunks are asked for in ascending order, so it reads the source once.
type rereader struct {
	open func() (source.Source, error)
	src  source.Source // nil: not needed so far
	at   chunk.Chunk   // the chunk that was read last
}

// fill restores the objects of those letters of a piece that have outputs instead.
func (s *rereader) fill(ctx context.Context, r sink.Record, letters []chunk.DeadLetter) error {
	for i := range letters {
		l := &letters[i]
		if len(l.Outputs) == 0 {
			continue
		}
		if err := s.seek(ctx, r); err != nil {
			return err
		}
		index := int(l.Ordinal - s.at.First)
		for n, object := range chunk.Objects(s.at.Body) {
			if n == index {
				l.Object, l.Outputs = object, nil
			}
		}
	}
	return nil
}

// seek reads up to the chunk of a piece.
func (s *rereader) seek(ctx context.Context, r sink.Record) (err error) {
	if s.src == nil {
		if s.open == nil {
			return fmt.Errorf("open source for outputs that the sink refused: %w", errors.ErrUnsupported)
		}
		if s.src, err = s.open(); err != nil {
			return fmt.Errorf("open source for outputs that the sink refused: %w", err)
		}
	}
	for s.at.Count == 0 || s.at.ID < r.Chunk { // no chunk was read yet, or an earlier one
		if s.at, _, err = s.src.Next(ctx); err != nil {
			return fmt.Errorf("read source: %w", err)
		}
	}
	if s.at.ID != r.Chunk || s.at.First != r.First-uint64(r.From) || s.at.Count != r.Of || s.at.Digest() != r.Digest {
		return fmt.Errorf("chunk %d: %w", r.Chunk, ErrSourceChanged)
	}
	return nil
}

func (s *rereader) close() {
	if s.src != nil {
		_ = s.src.Close() // it was only read
	}
}
