package objectsink

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"github.com/chunkline/chunkline/internal/sink"
)

// A part is an object with consecutive outputs, or dead letters.
type part struct {
	Name   string `json:"name"` // below the prefix
	Bytes  int64  `json:"bytes"`
	Lines  uint64 `json:"lines"` // outputs or dead letters
	SHA256 string `json:"sha256"`
}

// writeParts writes the parts of a generation. It returns the manifest that lists them.
func (s *Sink) writeParts(ctx context.Context, now *state, g generation) (*manifest, error) {
	outputs, dead := &partWriter{s: s, kind: outputParts, g: g}, &partWriter{s: s, kind: deadParts, g: g}
	var lines []byte
	for r, err := range s.Records(ctx) {
		if err != nil {
			return nil, err
		}
		if lines, err = s.Outputs(lines[:0], r); err == nil { //nolint:contextcheck // a read has a limit of its own
			err = outputs.add(ctx, lines, r.OutputCount())
		}
		if err == nil {
			lines, err = s.DeadLetters(lines[:0], r) //nolint:contextcheck // likewise
		}
		// Pieces are ordered by ordinal, and so are the dead letters within each.
		if err == nil {
			err = dead.add(ctx, lines, uint64(r.DeadCount))
		}
		if err != nil {
			return nil, err
		}
	}
	if err := errors.Join(outputs.end(ctx), dead.end(ctx)); err != nil {
		return nil, err
	}
	if s.state.Load().content != g.Content {
		return nil, errOvertaken // a reader of the manifest must not see parts of two states
	}
	return &manifest{
		Format: manifestVersion, Job: now.claims.Job, Sink: now.claims.ID, Generation: g.Name,
		Chunks: now.totals.Chunks, Objects: now.totals.Objects, Outputs: now.totals.Outputs, Dead: now.totals.Dead, OutputBytes: now.totals.OutputBytes,
		Parts: outputs.parts, DeadParts: dead.parts,
	}, nil
}

// A partWriter writes the parts of one kind. A part ends after the piece with which it reaches the size to aim at.
type partWriter struct {
	s    *Sink
	kind partKind
	g    generation

	parts    []part
	lines    uint64       // of the part in progress
	content  bytes.Buffer // of it, compressed
	compress io.WriteCloser
}

// add appends lines to the part in progress.
func (w *partWriter) add(ctx context.Context, lines []byte, count uint64) error {
	if len(lines) == 0 {
		return nil
	}
	if w.compress == nil {
		compress, err := sink.Compress(w.g.Format, &w.content)
		if err != nil {
			return err
		}
		w.compress = compress
	}
	if _, err := w.compress.Write(lines); err != nil {
		return fmt.Errorf("compress part: %w", err)
	}
	w.lines += count
	if int64(w.content.Len()) < w.g.Size {
		return nil
	}
	return w.end(ctx)
}

// end writes the part in progress, if there is one.
func (w *partWriter) end(ctx context.Context) error {
	if w.compress == nil {
		return nil
	}
	if err := w.compress.Close(); err != nil {
		return fmt.Errorf("compress part: %w", err)
	}
	key := w.s.partKey(w.kind, len(w.parts)+1, w.g)
	sum := sha256.Sum256(w.content.Bytes())
	w.parts = append(w.parts, part{
		Name: key[len(w.s.o.prefix):], Bytes: int64(w.content.Len()), Lines: w.lines, SHA256: hex.EncodeToString(sum[:]),
	})
	err := w.s.create(ctx, key, sink.MediaType(w.g.Format), w.content.Bytes())
	if errors.Is(err, errTaken) {
		err = w.s.otherPart(ctx, key, w.g)
	}
	w.compress, w.lines = nil, 0
	w.content.Reset()
	return err
}

// otherPart returns the error for a part that exists with another content. Only savers of this job know the generation's
// name, and one of them may have written it while results were committed.
func (s *Sink) otherPart(ctx context.Context, key string, g generation) error {
	if err := s.Refresh(ctx); err != nil {
		return err
	}
	if s.state.Load().content != g.Content {
		return errOvertaken
	}
	return &sink.ForeignError{Path: s.url(key), Changed: true}
}
