package transform

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/chunkline/chunkline/internal/chunk"
)

const (
	// callTimeout is the default of timeout=, for one request.
	callTimeout = 30 * time.Second

	// maxConcurrency bounds the requests of one worker.
	maxConcurrency = 256

	serviceOptions = "use https://HOST/PATH#batch=100&concurrency=4&timeout=30s"
)

// An endpoint is a parsed http setting. The options are in the fragment of the URL, which is never sent, so that the
// whole query is the service's.
type endpoint struct {
	url         string // without the fragment
	batch       int    // most objects of a request; 0: one, and not in an array
	concurrency int    // most requests of one worker at a time
	timeout     time.Duration
}

// CallsService reports whether a setting is of a transform that calls a service.
func CallsService(setting string) bool {
	setting = strings.TrimSpace(setting)
	return strings.HasPrefix(setting, "http:") || strings.HasPrefix(setting, "https:")
}

// CallsOut reports whether a setting runs a program or calls a service. A mapper takes such a transform from the
// fetcher only if it is told to.
func CallsOut(setting string) bool {
	return strings.HasPrefix(setting, "exec:") || CallsService(setting)
}

// parseService reads an http setting.
func parseService(text string) (Spec, error) {
	e, err := parseEndpoint(text)
	warned := new(sync.Once)
	return Spec{
		conns: e.concurrency, atOnce: e.concurrency * max(1, e.batch), build: func(s Spec) Transform { return newService(e, s, warned) },
	}, err
}

// parseEndpoint reads an http setting. Errors do not contain the setting, which may hold a password by mistake.
func parseEndpoint(text string) (endpoint, error) {
	e := endpoint{concurrency: 1, timeout: callTimeout}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Hostname() == "" || u.Opaque != "":
		return endpoint{}, errors.New("it is not a URL; " + serviceOptions)
	case u.User != nil:
		return endpoint{}, errors.New("the URL has a user name or a password, and the setting is not secret: give secrets in TRANSFORM_TOKEN or TRANSFORM_HEADERS")
	}
	options, err := url.ParseQuery(u.EscapedFragment())
	if err != nil {
		return endpoint{}, fmt.Errorf("the options after # cannot be read; %s", serviceOptions)
	}
	for name, values := range options {
		if len(values) > 1 {
			return endpoint{}, fmt.Errorf("%s is given %d times; %s", name, len(values), serviceOptions)
		}
		if err := e.set(name, values[0]); err != nil {
			return endpoint{}, err
		}
	}
	u.Fragment, u.RawFragment = "", ""
	e.url = u.String()
	return e, nil
}

func (e *endpoint) set(name, value string) (err error) {
	switch name {
	case "batch":
		e.batch, err = strconv.Atoi(value)
		if err != nil || e.batch < 1 || e.batch > chunk.MaxSize {
			return fmt.Errorf("batch %q is not a number of objects; use 1 to %d", value, chunk.MaxSize)
		}
	case "concurrency":
		e.concurrency, err = strconv.Atoi(value)
		if err != nil || e.concurrency < 1 || e.concurrency > maxConcurrency {
			return fmt.Errorf("concurrency %q is not a number of requests; use 1 to %d", value, maxConcurrency)
		}
	case "timeout":
		e.timeout, err = time.ParseDuration(value)
		if err != nil || e.timeout <= 0 {
			return fmt.Errorf("timeout %q is not a duration above 0; use for example 30s", value)
		}
	case "rate":
		return errors.New("http has no option rate: the rate is the job's, not a worker's; use --rate of chunkline run and dead retry, or RATE of the fetcher")
	default:
		return fmt.Errorf("http has no option %q; %s", name, serviceOptions)
	}
	return nil
}

// A service is a Transform that sends objects to a service over HTTP. It makes up to concurrency requests at a time,
// for the objects that Map will be called with next. So at most that many requests and answers are in memory.
type service struct {
	endpoint
	auth   *auth
	client *http.Client
	warned *sync.Once // that a batch failed
	most   int        // bytes of an answer

	// Of this round:
	work  context.Context //nolint:containedctx // the chunk's context: requests start before the Map that takes their answers
	limit tryLimit
	queue []upcoming // the objects that Map will be called with and that are in no call yet
	calls []*call    // the next one first
}

func newService(e endpoint, s Spec, warned *sync.Once) *service {
	transport := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // true unless a program replaces DefaultTransport
	transport.MaxIdleConnsPerHost = e.concurrency
	if s.Dial != nil {
		transport.DialContext, transport.Proxy = s.Dial, nil
	}
	return &service{endpoint: e, auth: newAuth(s), warned: warned, most: chunk.MaxObject, client: &http.Client{Transport: transport, CheckRedirect: sameOrigin}}
}

// sameOrigin follows a redirect only to the same service, because another one must not see the token, and only with 307
// and 308, which send the object again.
func sameOrigin(next *http.Request, via []*http.Request) error {
	first := via[0]
	if len(via) > 3 || next.Method != first.Method || next.URL.Scheme != first.URL.Scheme || next.URL.Host != first.URL.Host {
		return http.ErrUseLastResponse
	}
	return nil
}

// Begin starts a chunk. A token or headers from files are read again.
func (s *service) Begin(ctx context.Context) error {
	s.abort()
	s.auth.refresh()
	return ctx.Err()
}

// End has nothing to do.
func (s *service) End(ctx context.Context) error { return ctx.Err() }

func (s *service) ahead(ctx context.Context, objects []upcoming, limit tryLimit) {
	s.work, s.limit, s.queue = ctx, limit, objects
}

// abort ends all requests, and waits until they have ended.
func (s *service) abort() {
	for _, c := range s.calls {
		c.cancel()
	}
	for _, c := range s.calls {
		<-c.done
	}
	s.calls, s.queue, s.work = nil, nil, nil
}

// Close ends all requests and connections.
func (s *service) Close() error {
	s.abort()
	s.client.CloseIdleConnections()
	return nil
}

// Map returns the answer for object. It requests the answer now if the object was not announced.
func (s *service) Map(ctx context.Context, object, dst []byte) ([]byte, error) {
	s.topUp()
	if len(s.calls) == 0 || !same(s.calls[0].objects[0], object) {
		c := s.start(ctx, [][]byte{object}, tryLimit{})
		<-c.done
		return c.next(dst)
	}
	c := s.calls[0]
	<-c.done // its context ends with that of the chunk
	dst, err := c.next(dst)
	if len(c.objects) == 0 {
		s.calls = s.calls[1:]
	}
	return dst, err
}

// topUp makes requests for the next objects of the queue.
func (s *service) topUp() {
	for len(s.queue) > 0 && len(s.calls) < s.concurrency {
		n := 1
		for n < min(s.batch, len(s.queue)) && !s.queue[0].alone && !s.queue[n].alone {
			n++
		}
		objects := make([][]byte, n)
		for i := range objects {
			objects[i] = s.queue[i].object
		}
		s.queue = s.queue[n:]
		s.calls = append(s.calls, s.start(s.work, objects, s.limit))
	}
}
