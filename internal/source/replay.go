package source

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// A streamInput reads a stream: first the spool of an earlier run, then the stream itself, which it spools. A stream
// that starts over is compared with the spool. A stream that is whole is spooled completely before it is read.
type streamInput struct {
	stream stream
	source string // its label
	spool  string // "": the stream is not spooled
	replay bool   // read only the spool

	log  *spool        // nil if the stream is not spooled
	old  io.ReadCloser // the data in the spool; nil after its end
	up   upstream      // nil until the stream begins
	rest []byte        // read and not yet returned
	buf  []byte
	err  error // final
}

func (s *streamInput) read(ctx context.Context, b []byte) (int, error) {
	for len(s.rest) == 0 {
		if s.err == nil {
			s.rest, s.err = s.more(ctx)
		}
		if s.err != nil {
			return 0, s.err
		}
	}
	n := copy(b, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

// more returns the next bytes.
func (s *streamInput) more(ctx context.Context) ([]byte, error) {
	if s.spool != "" && s.log == nil {
		if err := s.open(ctx); err != nil {
			return nil, err
		}
	}
	how := s.stream.restart()
	compares := !s.replay && s.log != nil && (how == isGivenAgain || how == beginsAnew && !s.log.done)
	if s.old != nil && !compares {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		n, err := s.readOld(len(s.buf))
		if err != nil || n > 0 {
			return s.buf[:n], err
		}
	}
	if s.log != nil && s.log.done && !compares {
		return nil, io.EOF
	}
	if err := s.begin(); err != nil {
		return nil, err
	}
	p, err := s.up.fetch(ctx)
	switch {
	case err == io.EOF: //nolint:errorlint // only io.EOF itself is the end
		return nil, s.end()
	case err != nil:
		return nil, err
	}
	fresh := p.data
	if s.old != nil {
		if fresh, err = s.compare(p.data); err != nil {
			return nil, err
		}
	}
	if s.log != nil && len(fresh) > 0 {
		if err := s.log.append(portion{data: fresh, next: p.next}); err != nil {
			return nil, err
		}
	}
	return p.data, nil
}

// open opens the spool. A stream that is whole is written to it now.
func (s *streamInput) open(ctx context.Context) (err error) {
	if s.log, err = openSpool(s.spool, s.source, s.replay); err != nil {
		return err
	}
	if s.stream.restart() == isWhole && !s.log.done {
		if err := s.writeAll(ctx); err != nil {
			return err
		}
	}
	s.buf = make([]byte, 256<<10)
	s.old, err = s.log.reader()
	return err
}

// writeAll spools the whole stream. It replaces the spool of a run that was killed.
func (s *streamInput) writeAll(ctx context.Context) error {
	if err := s.log.clear(s.source); err != nil {
		return err
	}
	if err := s.begin(); err != nil {
		return err
	}
	for {
		p, err := s.up.fetch(ctx)
		switch {
		case err == io.EOF: //nolint:errorlint // only io.EOF itself is the end
			up := s.up
			s.up = nil
			return errors.Join(s.log.end(), up.close())
		case err != nil:
			return err
		}
		if err := s.log.append(p); err != nil {
			return err
		}
	}
}

// begin starts the stream, unless it has begun.
func (s *streamInput) begin() (err error) {
	if s.up != nil {
		return nil
	}
	var next json.RawMessage
	if s.log != nil && s.stream.restart() == goesOn {
		next = s.log.next
	}
	s.up, err = s.stream.begin(next)
	return err
}

// readOld reads up to most bytes of the spool, and fewer only at its end.
func (s *streamInput) readOld(most int) (int, error) {
	if most > len(s.buf) {
		s.buf = make([]byte, most)
	}
	n, err := io.ReadFull(s.old, s.buf[:most])
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = s.old.Close()
		s.old = nil
	}
	if err != nil {
		return n, fmt.Errorf("read spool %s: %w", s.spool, err)
	}
	return n, nil
}

// compare compares bytes of the stream with the spool, and returns the bytes after the spool's end.
func (s *streamInput) compare(data []byte) (fresh []byte, err error) {
	n, err := s.readOld(len(data))
	switch {
	case err != nil:
		return nil, err
	case !bytes.Equal(data[:n], s.buf[:n]):
		return nil, s.differs("has other bytes")
	case n < len(data) && s.log.done:
		return nil, s.differs("is longer")
	}
	return data[n:], nil
}

// end handles the end of the stream.
func (s *streamInput) end() error {
	if s.old != nil {
		n, err := s.readOld(1)
		switch {
		case err != nil:
			return err
		case n > 0:
			return s.differs("is shorter")
		}
	}
	if s.log != nil && !s.log.done {
		if err := s.log.end(); err != nil {
			return err
		}
	}
	return io.EOF
}

func (s *streamInput) differs(how string) error {
	return fmt.Errorf("%w: it %s than in the run before, which is kept in %s; give the same again, or choose another output to start over", ErrChanged, how, s.spool)
}

func (s *streamInput) close() error {
	var errs []error
	if s.up != nil {
		errs = append(errs, s.up.close())
	}
	if s.old != nil {
		errs = append(errs, s.old.Close())
	}
	if s.log != nil {
		errs = append(errs, s.log.close())
	}
	return errors.Join(errs...)
}
