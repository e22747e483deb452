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

// cacheBytes bounds the entries that are kept, except the newest of them. Chunks are stored roughly in order, so
// reading in order seldom alternates between more than a few entries.
const cacheBytes = 32 << 20

// readTimeout bounds a read of bodies, for which the caller has no context. One of a record takes changeTimeout at
// most, because a change may wait for it.
const readTimeout = 2 * time.Minute

// A cache keeps the entries that were read last. They are never changed.
type cache struct {
	downloads sync.Mutex // one download of bodies at a time, so that no bodies are read twice; taken before mu

	mu      sync.Mutex // guards what follows; nobody holds it during a request, so a commit never waits for a download
	entries []*loaded  // the newest last
	bytes   int
}

// keep adds an entry.
func (c *cache) keep(l *loaded) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if known := c.take(l.Number); known != nil && l.bodies == nil {
		l = known
	}
	c.add(l)
	for len(c.entries) > 1 && c.bytes > cacheBytes {
		c.take(c.entries[0].Number)
	}
}

// find returns an entry, or nil.
func (c *cache) find(number uint64) *loaded {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.take(number)
	if l != nil {
		c.add(l)
	}
	return l
}

func (c *cache) add(l *loaded) {
	c.entries = append(c.entries, l)
	c.bytes += l.bytes()
}

// take removes an entry and returns it, or nil.
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

// entry returns an entry of the log and, if bodies is set, its bodies.
func (s *Sink) entry(number uint64, bodies bool) (*loaded, error) {
	if err := s.usable(false); err != nil {
		return nil, err
	}
	limit := changeTimeout
	if bodies {
		limit = readTimeout
	}
	ctx, done := context.WithTimeout(context.Background(), limit)
	defer done()
	if bodies {
		s.cache.downloads.Lock()
		defer s.cache.downloads.Unlock()
	}
	l := s.cache.find(number)
	if l == nil {
		var err error
		l, err = s.read(ctx, number)
		switch {
		case errors.Is(err, bucket.ErrGone):
			return nil, s.damaged(s.entryKey(number), errors.New("it is missing"))
		case err != nil:
			return nil, explain(err)
		}
	}
	if bodies && l.bodies == nil && l.head.bodies > 0 {
		content, err := s.readBodies(ctx, l)
		if err != nil {
			return nil, err
		}
		full := *l
		full.bodies = content
		l = &full
	}
	s.cache.keep(l)
	return l, nil
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
func (s *Sink) RecordAt(p sink.Placed) (sink.Record, error) {
	number, index := entryOf(p.At)
	l, err := s.entry(number, false)
	if err != nil {
		return sink.Record{}, err
	}
	if index >= len(l.records) || l.records[index].Entry() != p.Entry {
		return sink.Record{}, s.damaged(s.entryKey(number), errRecord)
	}
	return l.records[index], nil
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
	l, err := s.entry(number, true)
	if err != nil {
		return b, err
	}
	if r.Offset > int64(len(l.bodies))-r.Length || !r.Matches(l.bodies[r.Offset:r.Offset+r.Length]) {
		return b, s.damaged(s.entryKey(number), errSum)
	}
	return append(b, l.bodies[r.Offset:r.Offset+r.Length]...), nil
}
