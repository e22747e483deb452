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
	"github.com/chunkline/chunkline/internal/tabular"
)

// A part is an object with consecutive outputs, or dead letters.
type part struct {
	Name   string `json:"name"` // below the prefix
	Bytes  int64  `json:"bytes"`
	Lines  uint64 `json:"lines"` // outputs or dead letters: lines, or rows without the header
	SHA256 string `json:"sha256"`
}

// writeParts writes the parts of a generation. It returns the manifest that lists them. The error is errOvertaken if
// the committed pieces have changed since: a reader of the manifest must not see parts of two states, and the columns
// of one may not fit the other.
func (s *Sink) writeParts(ctx context.Context, now *state, g generation) (*manifest, error) {
	m, err := s.tryParts(ctx, now, g)
	if s.state.Load().content != g.Content {
		return nil, errOvertaken
	}
	return m, err
}

func (s *Sink) tryParts(ctx context.Context, now *state, g generation) (*manifest, error) {
	// A list of the manifest may be empty, and is never null.
	outputs, dead := &partWriter{s: s, kind: outputParts, g: g, parts: []part{}}, &partWriter{s: s, kind: deadParts, g: g, parts: []part{}}
	if s.o.table() != 0 { // all parts have the same columns, which depend on all outputs
		outputs.columns = tabular.NewColumns(nil)
		if err := s.EachOutput(ctx, outputs.columns.Add); err != nil {
			return nil, explainTable(err)
		}
	}
	var lines []byte
	for r, err := range s.Records(ctx) {
		if err != nil {
			return nil, err
		}
		if lines, err = s.Outputs(lines[:0], r); err == nil { //nolint:contextcheck // a read has a limit of its own
			err = outputs.add(ctx, &r, lines, r.OutputCount())
		}
		if err == nil {
			lines, err = s.DeadLetters(lines[:0], r) //nolint:contextcheck // likewise
		}
		// Pieces are ordered by ordinal, and so are the dead letters within each.
		if err == nil {
			err = dead.add(ctx, &r, lines, uint64(r.DeadCount))
		}
		if err != nil {
			return nil, err
		}
	}
	if err := errors.Join(outputs.end(ctx), dead.end(ctx)); err != nil {
		return nil, err
	}
	return &manifest{
		Format: manifestVersion, Job: now.claims.Job, Sink: now.claims.ID, Generation: g.Name,
		Chunks: now.totals.Chunks, Objects: now.totals.Objects, Outputs: now.totals.Outputs, Dead: now.totals.Dead, OutputBytes: now.totals.OutputBytes,
		Parts: outputs.parts, DeadParts: dead.parts,
	}, nil
}

// explainTable adds advice to an error about outputs that cannot become a table. An output that cannot be a row has
// become a dead letter, unless the parts had another format when it was committed.
func explainTable(err error) error {
	if errors.Is(err, tabular.ErrNoRow) || errors.Is(err, tabular.ErrNoTable) {
		return fmt.Errorf("%w (all results stay in the log: run again with format=jsonl)", err)
	}
	return err
}

// A partWriter writes the parts of one kind. A part ends after the piece with which it reaches the size to aim at.
type partWriter struct {
	s       *Sink
	kind    partKind
	g       generation
	columns *tabular.Columns // of a table; nil: the parts have lines

	parts    []part
	lines    uint64       // of the part in progress
	content  bytes.Buffer // of it, compressed
	compress io.WriteCloser
	table    tabular.Writer // writes to compress
	held     int            // bytes of lines that the table may not have written yet
}

// add appends the lines of a record to the part in progress.
func (w *partWriter) add(ctx context.Context, r *sink.Record, lines []byte, count uint64) error {
	if len(lines) == 0 {
		return nil
	}
	if w.compress == nil {
		if err := w.begin(); err != nil {
			return err
		}
	}
	if err := w.write(r, lines); err != nil {
		return err
	}
	w.lines += count
	if int64(w.content.Len()) < w.g.Size {
		return nil
	}
	return w.end(ctx)
}

// begin begins a part.
func (w *partWriter) begin() (err error) {
	if w.compress, err = sink.Compress(w.kind.extension(w.g.Format), &w.content); err != nil || w.columns == nil {
		return err
	}
	w.table, err = tabular.NewWriter(w.compress, w.s.o.table(), w.columns)
	return explainTable(err)
}

func (w *partWriter) write(r *sink.Record, lines []byte) error {
	if w.table == nil {
		if _, err := w.compress.Write(lines); err != nil {
			return fmt.Errorf("compress part: %w", err)
		}
		return nil
	}
	if err := r.EachOutput(lines, w.table.Row); err != nil {
		return explainTable(err)
	}
	if w.held += len(lines); int64(w.held) < w.g.Size {
		return nil
	}
	w.held = 0 // without Flush, a small part would be as large as a row group
	return w.table.Flush()
}

// end writes the part in progress, if there is one.
func (w *partWriter) end(ctx context.Context) error {
	if w.compress == nil {
		return nil
	}
	if w.table != nil {
		if err := w.table.Close(); err != nil {
			return fmt.Errorf("write table: %w", err)
		}
	}
	if err := w.compress.Close(); err != nil {
		return fmt.Errorf("compress part: %w", err)
	}
	key := w.s.partKey(w.kind, len(w.parts)+1, w.g)
	sum := sha256.Sum256(w.content.Bytes())
	w.parts = append(w.parts, part{
		Name: key[len(w.s.o.prefix):], Bytes: int64(w.content.Len()), Lines: w.lines, SHA256: hex.EncodeToString(sum[:]),
	})
	err := w.s.create(ctx, key, sink.MediaType(key), w.content.Bytes())
	if errors.Is(err, errTaken) {
		err = w.s.otherPart(ctx, key, w.g)
	}
	w.compress, w.table, w.lines, w.held = nil, nil, 0, 0
	w.content.Reset()
	return err
}

// otherPart returns the error for a part that exists with other content. Only savers of this job know the generation's
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
