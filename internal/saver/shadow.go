package saver

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/wire"
)

const (
	maxShadows  = 64  // results that wait to be compared, at most an eighth of Memory; beyond either limit the answer is busy
	maxCompared = 100 // versions whose counts are kept
)

// shadows is the outcome of comparing the results of shadow runs with the saved ones.
type shadows struct {
	mu          sync.Mutex
	versions    map[string]*report.ShadowCount // guarded by mu
	differences []report.Difference            // guarded by mu; the latest is the last
}

// queueShadow queues results for their comparison, or answers busy.
func (s *Saver) queueShadow(p *parcel) {
	if waiting := s.comparing.Add(p.bytes()); waiting <= s.most/8 || waiting == p.bytes() {
		select {
		case s.shadowed <- p:
			return
		default:
		}
	}
	s.comparing.Add(-p.bytes())
	p.notCommitted("saver has too many results to compare")
	s.answer(p)
}

// compareLoop compares results of shadow runs until the queue is closed or ctx ends. It is not part of the
// commit loop, so that no commit waits for a comparison.
func (s *Saver) compareLoop(ctx context.Context) error {
	for {
		select {
		case p, open := <-s.shadowed:
			if !open {
				return nil
			}
			s.compareAll(ctx, p)
		case <-ctx.Done(): // a loop has failed
			return nil
		}
	}
}

// compareAll compares the results of a message, and answers it.
func (s *Saver) compareAll(ctx context.Context, p *parcel) {
	for _, r := range p.results {
		err := s.compare(ctx, r.Result)
		r.span.Fail(err)
		r.span.End()
		switch {
		case err == nil:
			p.setStatus(r, wire.SaveDuplicate, "") // the piece is saved; this result is not
		case errors.Is(err, sink.ErrNoChunk), errors.Is(err, errOtherObjects):
			p.setStatus(r, wire.SaveRefused, err.Error())
		default:
			p.setStatus(r, wire.SaveBusy, err.Error())
		}
	}
	s.comparing.Add(-p.bytes())
	s.answer(p)
}

var errOtherObjects = errors.New("sink holds this chunk with other content")

// compare compares a result with the saved one of the same objects, and counts the differences.
func (s *Saver) compare(ctx context.Context, r sink.Result) error {
	pieces, err := s.sink.Look(ctx, r.Chunk)
	if err != nil {
		return fmt.Errorf("look at saved result: %w", err)
	}
	at := slices.IndexFunc(pieces, func(saved sink.Result) bool {
		return saved.Digest == r.Digest && saved.First == r.First && saved.Objects == r.Objects
	})
	if at < 0 {
		return errOtherObjects
	}
	found := differences(pieces[at], r)
	failed := 0
	for _, d := range found {
		if d.Shadow.Error != "" && d.Saved.Error == "" {
			failed++
		}
	}
	s.metrics.compared(r.Version, r.Objects, len(found))
	s.shadows.add(r, found, failed)
	return nil
}

func (s *shadows) add(r sink.Result, found []report.Difference, failed int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	count := s.versions[r.Version]
	if count == nil {
		if len(s.versions) >= maxCompared {
			return // too many versions: ignore further ones
		}
		if s.versions == nil {
			s.versions = map[string]*report.ShadowCount{}
		}
		count = &report.ShadowCount{Version: r.Version}
		s.versions[r.Version] = count
	}
	count.Chunks++
	count.Objects += uint64(r.Objects)
	count.Different += uint64(len(found))
	count.Failed += uint64(failed)
	s.differences = append(s.differences, found[:min(len(found), report.MaxDifferences)]...)
	if over := len(s.differences) - report.MaxDifferences; over > 0 {
		s.differences = slices.Delete(s.differences, 0, over)
	}
}

// report returns the comparison so far, the latest differences first.
func (s *shadows) report() *report.ShadowReport {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &report.ShadowReport{Versions: []report.ShadowCount{}, Differences: slices.Clone(s.differences)}
	for _, count := range s.versions {
		r.Versions = append(r.Versions, *count)
	}
	slices.SortFunc(r.Versions, func(a, b report.ShadowCount) int { return cmp.Compare(a.Version, b.Version) })
	slices.Reverse(r.Differences)
	return r
}

// differences returns the objects of a chunk for which two results differ: their outputs have different bytes, or only
// one result has a dead letter. Two dead letters are equal even if their errors differ.
func differences(saved, shadow sink.Result) []report.Difference {
	a, b := reading(saved), reading(shadow)
	var found []report.Difference
	for i := range saved.Objects {
		outputsA, outputsB := a.next(saved.Counts[i]), b.next(shadow.Counts[i])
		ordinal := saved.First + uint64(i)
		errorA, deadA := a.dead[ordinal]
		errorB, deadB := b.dead[ordinal]
		if deadA == deadB && bytes.Equal(outputsA, outputsB) {
			continue
		}
		found = append(found, report.Difference{
			Ordinal: ordinal, Chunk: saved.Chunk,
			Saved:  report.Made{Version: saved.Version, Outputs: shown(string(outputsA)), Error: shown(errorA)},
			Shadow: report.Made{Version: shadow.Version, Outputs: shown(string(outputsB)), Error: shown(errorB)},
		})
	}
	return found
}

// reader reads the outputs of a result, object by object.
type reader struct {
	left []byte
	dead map[uint64]string // errors by ordinal
}

func reading(r sink.Result) *reader {
	dead := map[uint64]string{}
	for line := range bytes.Lines(r.Dead) {
		if d, err := chunk.ParseDeadLetter(line); err == nil {
			dead[d.Ordinal] = cmp.Or(strings.TrimSpace(d.Error), "dead letter")
		}
	}
	return &reader{left: r.Outputs, dead: dead}
}

// next returns the next lines, as many as given.
func (r *reader) next(lines int) []byte {
	end := chunk.LinesEnd(r.left, lines)
	own := r.left[:end]
	r.left = r.left[end:]
	return own
}
