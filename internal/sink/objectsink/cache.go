package objectsink

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/chunkline/chunkline/internal/bucket"
	"github.com/chunkline/chunkline/internal/sink"
)

// cacheBytes bounds the entries that are kept, except the newest of them. Chunks are stored roughly in order, so reading in
// order seldom alternates between more than a few entries.
const cacheBytes = 32 << 20

// readTimeout bounds a read for which the caller has no context.
const readTimeout = 2 * time.Minute

// A cache keeps the entries that were read last.
type cache struct {
	mu      sync.Mutex // also serializes reads, so that no entry is read twice at a time
	entries []*loaded  // the newest last
	bytes   int
}

// keep adds an entry. Call it with mu held.
func (c *cache) keep(l *loaded) {
	c.entries = append(c.entries, l)
	c.bytes += l.bytes()
	for len(c.entries) > 1 && c.bytes > cacheBytes {
		c.bytes -= c.entries[0].bytes()
		c.entries = slices.Delete(c.entries, 0, 1)
	}
}

// take removes an entry and returns it, or nil. Call it with mu held.
func (c *cache) take(number uint64) *loaded {
	i := slices.IndexFunc(c.entries, func(l *loaded) bool { return l.Number == number })
	if i < 0 {
		return nil
	}
	l := c.entries[i]
	c.bytes -= l.bytes()
	c.entries = slices.Delete(c.entries, i, i+1)
	return l
}

// with calls do with an entry of the log and, if bodies is set, its bodies.
func (s *Sink) with(number uint64, bodies bool, do func(*loaded) error) error {
	if err := s.usable(false); err != nil {
		return err
	}
	ctx, done := context.WithTimeout(context.Background(), readTimeout)
	defer done()
	s.cache.mu.Lock()
	defer s.cache.mu.Unlock()
	l := s.cache.take(number)
	if l == nil {
		var err error
		l, err = s.read(ctx, number)
		switch {
		case errors.Is(err, bucket.ErrGone):
			return s.damaged(s.entryKey(number), errors.New("it is missing"))
		case err != nil:
			return explain(err)
		}
	}
	if bodies && l.bodies == nil && l.head.bodies > 0 {
		var err error
		if l.bodies, err = s.readBodies(ctx, l); err != nil {
			return err
		}
	}
	s.cache.keep(l)
	return do(l)
}

// The bits of a piece's place: the number of its entry, and its index there.
const (
	indexBits = 16
	maxPieces = 1 << indexBits
)

func placeOf(number uint64, index int) uint64 { return number<<indexBits | uint64(index) }

// entryOf returns the number of a piece's entry, and the index of the piece there.
func entryOf(p sink.Position) (number uint64, index int) {
	return p.Place() >> indexBits, int(p.Place() % maxPieces)
}

// RecordAt implements sink.TableOwner.
func (s *Sink) RecordAt(p sink.Placed) (r sink.Record, err error) {
	number, index := entryOf(p.At)
	err = s.with(number, false, func(l *loaded) error {
		if index >= len(l.records) || l.records[index].Entry() != p.Entry {
			return s.damaged(s.entryKey(number), errRecord)
		}
		r = l.records[index]
		return nil
	})
	return r, err
}

// Outputs implements sink.TableOwner.
func (s *Sink) Outputs(b []byte, r sink.Record) ([]byte, error) { return s.body(b, r.Outputs) }

// DeadLetters implements sink.TableOwner.
func (s *Sink) DeadLetters(b []byte, r sink.Record) ([]byte, error) { return s.body(b, r.Dead) }

// body checks a body and appends it to b.
func (s *Sink) body(b []byte, r sink.Range) ([]byte, error) {
	if r.Length == 0 {
		return b, nil
	}
	number := uint64(r.Part)
	err := s.with(number, true, func(l *loaded) error {
		if r.Offset > int64(len(l.bodies))-r.Length || !r.Matches(l.bodies[r.Offset:r.Offset+r.Length]) {
			return s.damaged(s.entryKey(number), errSum)
		}
		b = append(b, l.bodies[r.Offset:r.Offset+r.Length]...)
		return nil
	})
	return b, err
}
