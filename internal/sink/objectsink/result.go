package objectsink

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"

	"github.com/chunkline/chunkline/internal/bucket"
	"github.com/chunkline/chunkline/internal/sink"
)

// Parts yields the parts with outputs, or with dead letters, in input order. The job must be finished. If a part that
// the manifest lists is missing or has another SHA-256, Parts yields an error and continues with the next part. It
// holds one part in memory.
func (s *Sink) Parts(ctx context.Context, dead bool) iter.Seq2[sink.Part, error] {
	return func(yield func(sink.Part, error) bool) {
		parts, err := s.listed(ctx, dead)
		if err != nil {
			yield(sink.Part{}, s.name(err))
			return
		}
		for _, p := range parts {
			at := s.url(s.o.prefix + p.Name)
			content, err := s.readPart(ctx, p)
			if err != nil {
				err = fmt.Errorf("read %s: %w", at, err)
			}
			if !yield(sink.Part{Location: at, Lines: p.Lines, Content: content}, err) {
				return
			}
		}
	}
}

// listed returns the parts that the manifest lists.
func (s *Sink) listed(ctx context.Context, dead bool) ([]part, error) {
	if err := s.usable(false); err != nil {
		return nil, err
	}
	m, _, _, err := s.readManifest(ctx)
	switch now := s.state.Load(); {
	case err != nil:
		return nil, err
	case m == nil:
		return nil, fmt.Errorf("%s is missing", s.url(s.manifestKey()))
	case m.Generation != now.done:
		return nil, fmt.Errorf("%s lists the parts of another result of this job", s.url(s.manifestKey()))
	case dead:
		return m.DeadParts, nil
	}
	return m.Parts, nil
}

// readPart reads a part and compares it with the manifest.
func (s *Sink) readPart(ctx context.Context, p part) ([]byte, error) {
	content, err := s.get(ctx, s.o.prefix+p.Name, 0, p.Bytes+1)
	if errors.Is(err, bucket.ErrGone) {
		return nil, errors.New("it is missing")
	}
	if err != nil {
		return nil, err
	}
	if sum := sha256.Sum256(content); hex.EncodeToString(sum[:]) != p.SHA256 {
		return nil, errors.New("its content does not have the SHA-256 of the manifest")
	}
	return content, nil
}
