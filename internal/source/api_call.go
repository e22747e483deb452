package source

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"net/url"
	"time"
	"unicode/utf8"

	"github.com/chunkline/chunkline/internal/backoff"
	"github.com/chunkline/chunkline/internal/webservice"
)

const (
	maxPage      = 64 << 20  // bytes of a page
	longestWait  = time.Hour // longest Retry-After that is obeyed; APIs often limit requests by the hour
	maxRedirects = 10
)

func (a *api) client() *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // true unless a program replaces DefaultTransport
	transport.DialContext = dialNetwork(a.linkLocal)
	transport.MaxIdleConnsPerHost = a.concurrency
	if a.dial != nil {
		transport.DialContext, transport.Proxy = a.dial, nil
	}
	return &http.Client{Transport: transport, CheckRedirect: func(next *http.Request, via []*http.Request) error {
		if len(via) > maxRedirects || next.URL.Scheme != a.url.Scheme || next.URL.Host != a.url.Host {
			return http.ErrUseLastResponse // another host must not see the credentials
		}
		return nil
	}}
}

// get returns a page. It repeats the request if the failure is temporary.
func (p *pages) get(ctx context.Context, address string) (http.Header, json.RawMessage, error) {
	for try := 1; ; try++ {
		if err := p.await(ctx); err != nil {
			return nil, nil, err
		}
		header, body, err := p.request(ctx, address)
		if err == nil || ctx.Err() != nil {
			return header, body, err
		}
		temporary, ok := errors.AsType[*webservice.TemporaryError](err)
		switch {
		case ok && temporary.After > longestWait:
			return nil, nil, fmt.Errorf("%w; it asks to wait %v, which is more than %v: run the job again then", err, temporary.After.Round(time.Second), longestWait)
		case !ok && try == 1:
			return nil, nil, err
		case !ok || try > p.retries:
			return nil, nil, fmt.Errorf("tried %d times: %w", try, err)
		}
		p.postpone(temporary.After)
		if err := backoff.Sleep(ctx, temporary.After+rand.N(backoff.Longest(try)+1)); err != nil {
			return nil, nil, err
		}
	}
}

// await waits until a request is allowed.
func (p *pages) await(ctx context.Context) error {
	for {
		p.mu.Lock()
		rest := time.Until(p.after)
		p.mu.Unlock()
		if rest <= 0 {
			return p.limit.Wait(ctx)
		}
		if err := backoff.Sleep(ctx, rest); err != nil {
			return err
		}
	}
}

// postpone delays all requests by d, because an answer asked for it.
func (p *pages) postpone(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if at := time.Now().Add(d); d > 0 && at.After(p.after) {
		p.after = at
	}
}

// request makes one request. The body is nil if the answer has no content.
func (p *pages) request(ctx context.Context, address string) (http.Header, json.RawMessage, error) {
	if host, err := url.Parse(address); err == nil && !p.linkLocal { // a proxy would connect without this check
		if ip, err := netip.ParseAddr(host.Hostname()); err == nil {
			if err := checkAddress(ip); err != nil {
				return nil, nil, err
			}
		}
	}
	slow := fmt.Errorf("the API has not sent the page within %v (timeout=)", p.timeout)
	limited, cancel := context.WithTimeoutCause(ctx, p.timeout, slow)
	defer cancel()
	request, err := http.NewRequestWithContext(limited, http.MethodGet, address, nil)
	if err != nil {
		return nil, nil, errors.New("its URL cannot be used")
	}
	request.Header = p.header.Clone()
	response, err := p.client.Do(request)
	if err == nil {
		defer func() { _ = response.Body.Close() }() // it was only read
		var body json.RawMessage
		if body, err = p.read(response); err == nil {
			return response.Header, body, nil
		}
	} else if err = webservice.Unreachable("the API does not answer", err); errors.Is(err, errLinkLocal) {
		err = errors.Unwrap(err) // not temporary
	}
	if errors.Is(context.Cause(limited), slow) {
		err = &webservice.TemporaryError{Err: slow}
	}
	return nil, nil, err
}

// read reads the body of an answer.
func (p *pages) read(r *http.Response) (json.RawMessage, error) {
	if r.StatusCode < 200 || r.StatusCode > 299 {
		return nil, p.refusal(r)
	}
	if r.StatusCode == http.StatusNoContent {
		return nil, nil
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, int64(p.most)+1))
	switch {
	case len(body) > p.most:
		return nil, fmt.Errorf("it is larger than %d bytes; ask for fewer objects in a page", p.most)
	case err != nil:
		return nil, &webservice.TemporaryError{Err: fmt.Errorf("the API's answer is cut off after %d bytes: %w", len(body), err)}
	}
	body = bytes.TrimSpace(bytes.TrimPrefix(body, []byte(webservice.Mark)))
	switch {
	case !utf8.Valid(body) || !json.Valid(body):
		return nil, errors.New("it is not one JSON value; for other data use a command, such as cmd:curl -fsS URL")
	case body[0] != '[' && body[0] != '{':
		return nil, errors.New("it is neither an array nor an object")
	}
	return body, nil
}

// refusal is the error for an answer whose status is not 2xx.
func (p *pages) refusal(r *http.Response) error {
	err := webservice.Refusal("the API answers", r, p.header, "redirects are followed on the same host only; name the address that answers")
	if r.StatusCode == http.StatusUnauthorized || r.StatusCode == http.StatusForbidden {
		return fmt.Errorf("%w; set SOURCE_TOKEN or SOURCE_HEADERS", err)
	}
	return err
}
