package objectsink

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/chunkline/chunkline/internal/backoff"
	"github.com/chunkline/chunkline/internal/bucket"
	"github.com/chunkline/chunkline/internal/sink"
)

const (
	logFolder = ".chunkline/log/"
	logDigits = 20 // of an entry's number in its key, so that keys are in the order of numbers

	// headRead is how much is read of an entry at first. That is usually all its records.
	headRead = 64 << 10

	// A write whose outcome is unknown is repeated until patience is over, as is a read that fails.
	patience   = 5 * time.Second
	firstPause = 20 * time.Millisecond
	mostPause  = time.Second
)

// entryKey returns the key of an entry of the log.
func (s *Sink) entryKey(number uint64) string {
	return s.o.prefix + logFolder + fmt.Sprintf("%0*d", logDigits, number)
}

// entryNumber returns the number of the entry with a key; 0 if the key is not that of an entry.
func (s *Sink) entryNumber(key string) uint64 {
	name := strings.TrimPrefix(key, s.o.prefix+logFolder)
	number, err := strconv.ParseUint(name, 10, 64)
	if err != nil || len(name) != logDigits {
		return 0
	}
	return number
}

// damaged returns the error for an object that cannot be read as it was written.
func (s *Sink) damaged(key string, what error) error {
	return &sink.DamageError{File: s.url(key), Offset: -1, What: what.Error()}
}

// url names an object for people.
func (s *Sink) url(key string) string { return s.o.scheme + s.o.bucket + "/" + key }

// errTaken means that another process has created the object.
var errTaken = errors.New("another process has written it")

// create creates an object, and returns errTaken if the key has other content. Answers may be lost, so it reads the
// object back unless the write succeeded.
func (s *Sink) create(ctx context.Context, key, mediaType string, content []byte) error {
	begin := time.Now()
	for pause := firstPause; ; pause = min(2*pause, mostPause) {
		err := s.store.Write(ctx, key, mediaType, content, "")
		switch {
		case err == nil:
			return nil
		case errors.Is(err, bucket.ErrFull):
			return fmt.Errorf("%w: write %s: %w", sink.ErrFull, s.url(key), err)
		}
		there, e := s.get(ctx, key, 0, int64(len(content))+1)
		switch {
		case e == nil && bytes.Equal(there, content):
			return nil
		case e == nil:
			return errTaken
		case !errors.Is(e, bucket.ErrGone):
			return fmt.Errorf("%w: write %s: %w; read it back: %w", sink.ErrUnreachable, s.url(key), err, e)
		case time.Since(begin) > patience:
			return fmt.Errorf("%w: write %s: %w", sink.ErrUnreachable, s.url(key), err)
		}
		if e := sleep(ctx, pause); e != nil {
			return fmt.Errorf("%w: write %s: %w", sink.ErrUnreachable, s.url(key), errors.Join(err, e))
		}
	}
}

// get reads length bytes of an object, or fewer at its end. The error is bucket.ErrGone if there is no such object.
func (s *Sink) get(ctx context.Context, key string, offset, length int64) ([]byte, error) {
	begin := time.Now()
	for pause := firstPause; ; pause = min(2*pause, mostPause) {
		b, err := s.tryGet(ctx, key, offset, length)
		if err == nil || errors.Is(err, bucket.ErrGone) || time.Since(begin) > patience {
			return b, err
		}
		if e := sleep(ctx, pause); e != nil {
			return nil, fmt.Errorf("%w (%w)", err, e)
		}
	}
}

func (s *Sink) tryGet(ctx context.Context, key string, offset, length int64) ([]byte, error) {
	body, err := s.store.Read(ctx, key, "", offset, length)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(body, length))
	return b, errors.Join(err, body.Close())
}

// sleep waits for about the time of a pause.
func sleep(ctx context.Context, pause time.Duration) error {
	return backoff.Sleep(ctx, pause/2+rand.N(pause/2))
}

// A loaded entry is one that was read.
type loaded struct {
	*entry

	head    head
	records []sink.Record
	bodies  []byte // decompressed; nil if they were not read yet, or there are none
}

// bytes returns about how much memory the entry takes.
func (l *loaded) bytes() int { return len(l.bodies) + 512*len(l.records) + 1024 }

// read reads the records of an entry. The error is bucket.ErrGone if there is no such entry.
func (s *Sink) read(ctx context.Context, number uint64) (*loaded, error) {
	key := s.entryKey(number)
	b, err := s.get(ctx, key, 0, headRead)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", s.url(key), err)
	}
	h, err := decodeHead(b)
	if err != nil {
		return nil, s.damaged(key, err)
	}
	end := headSize + h.records
	if missing := end - int64(len(b)); missing > 0 && len(b) == headRead {
		more, err := s.get(ctx, key, headRead, missing)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", s.url(key), err)
		}
		b = append(b, more...)
	}
	e, err := h.decode(b[headSize:min(end, int64(len(b)))], number)
	switch id := s.id(); {
	case errors.Is(err, sink.ErrFormat):
		return nil, err
	case err == nil && id != "" && e.Sink != id:
		return nil, s.damaged(key, errRecord)
	case err != nil:
		return nil, s.damaged(key, err)
	}
	l := &loaded{entry: e, head: h, records: e.records()}
	if int64(len(b)) == h.size() {
		if l.bodies, err = h.decodeBodies(b[end:]); err != nil {
			return nil, s.damaged(key, err)
		}
	}
	return l, nil
}

// readBodies reads the bodies of an entry.
func (s *Sink) readBodies(ctx context.Context, l *loaded) ([]byte, error) {
	key := s.entryKey(l.Number)
	b, err := s.get(ctx, key, headSize+l.head.records, l.head.bodies)
	if errors.Is(err, bucket.ErrGone) {
		return nil, s.damaged(key, errors.New("it is missing"))
	}
	if err != nil {
		return nil, fmt.Errorf("%w: read %s: %w", sink.ErrUnreachable, s.url(key), err)
	}
	bodies, err := l.head.decodeBodies(b)
	if err != nil {
		return nil, s.damaged(key, err)
	}
	return bodies, nil
}
