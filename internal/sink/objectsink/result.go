package objectsink

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/chunkline/chunkline/internal/bucket"
	"github.com/chunkline/chunkline/internal/sink"
)

// OpenParts opens the lines of all parts with outputs, or with dead letters, in input order. The job must be finished. A read
// fails if a part that the manifest lists is missing, or has not the SHA-256 that the manifest says.
func (s *Sink) OpenParts(ctx context.Context, dead bool) (io.ReadCloser, error) {
	if err := s.usable(false); err != nil {
		return nil, err
	}
	m, _, _, err := s.readManifest(ctx)
	switch now := s.state.Load(); {
	case err != nil:
		return nil, s.name(err)
	case m == nil:
		return nil, s.name(fmt.Errorf("%s is missing", s.url(s.manifestKey())))
	case m.Generation != now.done:
		return nil, s.name(fmt.Errorf("%s lists the parts of another result of this job", s.url(s.manifestKey())))
	case dead:
		return &partsReader{s: s, ctx: ctx, left: m.DeadParts}, nil
	default:
		return &partsReader{s: s, ctx: ctx, left: m.Parts}, nil
	}
}

// A partsReader reads parts one after the other.
type partsReader struct {
	s    *Sink
	ctx  context.Context //nolint:containedctx // of the open parts, as io.Reader has none
	left []part
	open *openPart // nil: the next one is not open yet
}

func (r *partsReader) Read(p []byte) (int, error) {
	for {
		if r.open == nil {
			if len(r.left) == 0 {
				return 0, io.EOF
			}
			next := r.left[0]
			var err error
			if r.open, err = r.s.openPart(r.ctx, next); err != nil {
				return 0, r.s.partError(next, err)
			}
			r.left = r.left[1:]
		}
		n, err := r.open.lines.Read(p)
		if errors.Is(err, io.EOF) {
			err = r.open.check()
			done := r.open
			r.open = nil
			if err = errors.Join(err, done.close()); err != nil {
				return n, r.s.partError(done.part, err)
			}
			if n == 0 {
				continue
			}
		}
		if err != nil {
			err = r.s.partError(r.open.part, err)
		}
		return n, err
	}
}

func (r *partsReader) Close() error {
	if r.open == nil {
		return nil
	}
	return r.open.close()
}

// partError names a part. It hides the cause, because the unexpected end of a part must not pass for the end of all.
func (s *Sink) partError(p part, err error) error {
	return fmt.Errorf("read %s: %s", s.url(s.o.prefix+p.Name), err.Error())
}

// An openPart is a part that is being read.
type openPart struct {
	part
	body  io.ReadCloser
	lines io.ReadCloser // decompressed
	bytes int64         // read of the body
	sum   hash.Hash     // of them
}

func (s *Sink) openPart(ctx context.Context, p part) (*openPart, error) {
	key := s.o.prefix + p.Name
	o := &openPart{part: p, sum: sha256.New()}
	var err error
	if o.body, err = s.store.Read(ctx, key, "", 0, -1); err != nil {
		if errors.Is(err, bucket.ErrGone) {
			err = errors.New("it is missing")
		}
		return nil, err
	}
	if o.lines, err = sink.Decompress(key, (*partBody)(o)); err != nil {
		return nil, errors.Join(err, o.body.Close())
	}
	return o, nil
}

// check compares the bytes that were read, and those that may follow the compressed ones, with the manifest.
func (o *openPart) check() error {
	if _, err := io.Copy(io.Discard, (*partBody)(o)); err != nil {
		return err
	}
	if o.bytes != o.Bytes || hex.EncodeToString(o.sum.Sum(nil)) != o.SHA256 {
		return fmt.Errorf("it has %d bytes that are not those of the manifest's SHA-256", o.bytes)
	}
	return nil
}

func (o *openPart) close() error { return errors.Join(o.lines.Close(), o.body.Close()) }

// partBody reads the body of an open part, and counts and sums what it reads.
type partBody openPart

func (b *partBody) Read(p []byte) (int, error) {
	n, err := b.body.Read(p)
	b.bytes += int64(n)
	b.sum.Write(p[:n])
	return n, err
}
