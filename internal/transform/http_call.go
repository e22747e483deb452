package transform

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/chunkline/chunkline/internal/webservice"
)

// A call is one request with its answer. A goroutine of its own makes it; after done is closed only the worker uses it.
type call struct {
	objects [][]byte // those whose answers were not taken yet
	cancel  context.CancelFunc
	done    chan struct{}
	outputs [][]byte // of each object, as lines
	err     error    // of all objects
}

// start sends objects. The call ends with ctx, after limit, or after the endpoint's timeout.
func (s *service) start(ctx context.Context, objects [][]byte, limit tryLimit) *call {
	c := &call{objects: objects, done: make(chan struct{})}
	request := s.encode(objects)
	limited, cancelLimit := limit.apply(ctx)
	slow := fmt.Errorf("no answer within %v (timeout= of the transform)", s.timeout)
	limited, cancelTimeout := context.WithTimeoutCause(limited, s.timeout, slow)
	c.cancel = func() { cancelTimeout(); cancelLimit() }
	header := s.auth.header
	go func() {
		defer close(c.done)
		defer c.cancel()
		c.outputs, c.err = s.exchange(limited, request, header, len(objects))
		switch cause := context.Cause(limited); {
		case c.err == nil || cause == nil:
		case errors.Is(cause, slow):
			c.err = &webservice.TemporaryError{Err: slow}
		default: // the object's time is over, or the chunk is dropped
			c.err = cause
		}
		if c.err != nil && len(objects) > 1 {
			s.warnOfBatch(limited, len(objects), c.err)
			c.err = &batchError{err: c.err}
		}
	}()
	return c
}

// warnOfBatch warns once if a batch fails for good and its objects are sent one by one. Otherwise an operator would
// only notice that the job is slow.
func (s *service) warnOfBatch(ctx context.Context, objects int, err error) {
	if _, temporary := errors.AsType[*webservice.TemporaryError](err); temporary || ctx.Err() != nil || s.auth.warn == nil {
		return
	}
	s.warned.Do(func() {
		s.auth.warn(fmt.Sprintf("a batch of %d objects failed, and its objects are sent one by one: %v", objects, err))
	})
}

// next appends the outputs of the next object to dst.
func (c *call) next(dst []byte) ([]byte, error) {
	c.objects = c.objects[1:]
	if c.err != nil {
		return dst, c.err
	}
	dst = append(dst, c.outputs[0]...)
	c.outputs = c.outputs[1:]
	return dst, nil
}

// encode returns the body of a request: the object, or an array if the endpoint takes batches.
func (s *service) encode(objects [][]byte) []byte {
	if s.batch == 0 {
		return objects[0]
	}
	return append(append([]byte{'['}, bytes.Join(objects, []byte{','})...), ']')
}

// exchange makes one request and reads its answer.
func (s *service) exchange(ctx context.Context, body []byte, header http.Header, objects int) ([][]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, bytes.NewReader(body))
	if err != nil {
		return nil, errors.New("the URL of the service cannot be used")
	}
	request.Header = header.Clone()
	response, err := s.client.Do(request)
	if err != nil {
		return nil, webservice.Unreachable("the service does not answer", err)
	}
	defer response.Body.Close()
	if response.StatusCode < 200 || response.StatusCode > 299 {
		return nil, webservice.Refusal("the service answers", response, s.auth.header, "only 307 and 308 are followed, on the same host; set TRANSFORM to the address that answers")
	}
	return s.readAnswer(response, objects)
}
