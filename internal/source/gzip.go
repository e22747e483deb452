package source

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
)

// members reads the members of a gzip file one after the other. Behind the last
// one there may be zeros, with which tapes and some programs fill up a block.
type members struct {
	z       *gzip.Reader
	r       *bufio.Reader
	counted *counter
}

// errBehind means that something else follows compressed data.
var errBehind = errors.New("is followed by something else")

func newMembers(r *bufio.Reader, counted *counter) (*members, error) {
	m := &members{z: new(gzip.Reader), r: r, counted: counted}
	return m, m.begin()
}

// begin reads the header of a member.
func (m *members) begin() error {
	err := m.z.Reset(m.r)
	if err == io.EOF { //nolint:errorlint // only io.EOF itself would be taken for the end
		return io.ErrUnexpectedEOF
	}
	m.z.Multistream(false)
	return err
}

func (m *members) Read(b []byte) (int, error) {
	for {
		n, err := m.z.Read(b)
		if err != io.EOF { //nolint:errorlint // only io.EOF itself is the end
			return n, err
		}
		if n > 0 {
			return n, nil // the end comes again
		}
		if err := m.next(); err != nil {
			return 0, err
		}
	}
}

func (m *members) Close() error { return m.z.Close() }

// next begins the next member. It returns io.EOF if there is none.
func (m *members) next() error {
	end := m.counted.n - int64(m.r.Buffered())
	for zeros := 0; ; zeros++ {
		head, err := m.r.Peek(1)
		if err != nil {
			return err
		}
		if head[0] == 0 {
			_, _ = m.r.Discard(1) // it is there
			continue
		}
		head, err = m.r.Peek(2)
		switch {
		case err != nil && err != io.EOF: // only io.EOF itself is the end
			return err
		case zeros == 0 && string(head) == "\x1f":
			return io.ErrUnexpectedEOF
		case zeros == 0 && string(head) == "\x1f\x8b":
			return m.begin()
		}
		head, _ = m.r.Peek(min(16, m.r.Buffered()))
		return fmt.Errorf("%w: it ends with byte %d, and %q is not gzip; to go on without it, keep the first %d bytes", errBehind, end, head, end)
	}
}

// counter counts the bytes that are read.
type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n += int64(n)
	return n, err
}
