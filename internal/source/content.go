package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"

	"github.com/chunkline/chunkline/internal/backoff"
)

// content is the bytes of a file that can be read again, as from an *os.File.
type content interface {
	io.Reader
	io.ReaderAt
	io.Seeker
	io.Closer
}

// openContent opens a file that can be read again. ctx returns the context for each request of an object.
func (f *file) openContent(ctx func() context.Context) (content, error) {
	if f.object != nil {
		return &objectReader{object: f.object, ctx: ctx}, nil
	}
	return os.Open(f.name)
}

// A requestError is a failed request for an object. It says nothing about the object's content.
type requestError struct{ error }

func (e requestError) Unwrap() error { return e.error }

// objectRetries is how often reading an object is resumed without receiving a byte in between.
const objectRetries = 5

// An objectReader is the content of an object. Consecutive calls of Read share one request; each ReadAt makes its own.
type objectReader struct {
	*object

	ctx   func() context.Context
	at    int64
	body  io.ReadCloser // starts at offset at; nil if no request is open
	fails int           // failures since the last byte
}

func (r *objectReader) Read(b []byte) (int, error) {
	if r.at >= r.size {
		return 0, io.EOF
	}
	n, err := r.readFrom(&r.body, b, r.at, -1, &r.fails)
	r.at += int64(n)
	return n, err
}

func (r *objectReader) ReadAt(b []byte, offset int64) (n int, err error) {
	want := int(min(int64(len(b)), max(r.size-offset, 0)))
	var body io.ReadCloser
	fails := 0
	for n < want && err == nil {
		var more int
		more, err = r.readFrom(&body, b[n:want], offset+int64(n), int64(want-n), &fails)
		n += more
	}
	if body != nil {
		_ = body.Close() // it was only read
	}
	if err == nil && n < len(b) {
		err = io.EOF
	}
	return n, err
}

// readFrom reads bytes at an offset before the end of the object, from body or from a new request for length bytes. If
// the connection breaks, it makes another request.
func (r *objectReader) readFrom(body *io.ReadCloser, b []byte, offset, length int64, fails *int) (int, error) {
	for {
		var err error
		if *body == nil {
			if *body, err = r.read(r.ctx(), offset, length); err != nil {
				return 0, requestError{err}
			}
		}
		n, err := (*body).Read(b)
		if n > 0 || err == nil {
			*fails = 0
			return n, nil // the next read returns the error again
		}
		_ = (*body).Close() // it was only read
		*body = nil
		if ctx := r.ctx(); ctx.Err() != nil {
			return 0, ctx.Err()
		}
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		if *fails++; *fails > objectRetries {
			return 0, requestError{fmt.Errorf("the object breaks off, %d times at the same byte: %w", *fails, err)}
		}
		if err := backoff.Sleep(r.ctx(), rand.N(backoff.Longest(*fails))); err != nil {
			return 0, err
		}
	}
}

// Seek is a method of io.Seeker.
func (r *objectReader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += r.at
	case io.SeekEnd:
		offset += r.size
	}
	if offset < 0 {
		return r.at, errors.New("seek before the object")
	}
	if offset != r.at {
		_ = r.Close()
		r.at = offset
	}
	return offset, nil
}

// Close ends the open request, if there is one.
func (r *objectReader) Close() error {
	if r.body != nil {
		_ = r.body.Close() // it was only read
		r.body = nil
	}
	return nil
}
