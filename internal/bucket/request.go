package bucket

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"golang.org/x/oauth2"

	"github.com/chunkline/chunkline/internal/dial"
	"github.com/chunkline/chunkline/internal/webservice"
)

// A request is repeated when it fails temporarily, like those of minio-go: until it was made attempts times or the
// context ends. All pauses together take at most 6 s.
const (
	attempts   = 8
	firstPause = 50 * time.Millisecond
	mostPause  = 2 * time.Second

	dialTimeout   = 10 * time.Second // of a connection
	answerTimeout = time.Minute      // from the end of the request to the head of the answer
	tokenTimeout  = 30 * time.Second // of a request for an access token
	maxMessage    = 16 << 10         // of an error answer, in bytes
)

// A client makes the requests of an interface for which no library is used. Its errors show no credentials.
type client struct {
	http      http.Client
	transport *http.Transport
	authorize func(*http.Request) error // adds the credentials; nil: there are none
	explain   func(a *answerError)      // finds code and message in the text of an error answer
}

func newClient(explain func(*answerError)) *client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DisableCompression = true // the bytes of an object are what was stored
	transport.ResponseHeaderTimeout = answerTimeout
	transport.DialContext = dial.New(dialTimeout).DialContext
	transport.HTTP2 = &http.HTTP2Config{SendPingTimeout: 10 * time.Second, PingTimeout: 5 * time.Second} // a dead connection is not used again
	transport.MaxIdleConnsPerHost = 16                                                                   // as many objects are examined at a time
	c := &client{transport: transport, explain: explain}
	c.http = http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return c
}

// A call is one request.
type call struct {
	method string
	url    *url.URL
	header http.Header
	body   [][]byte // its parts, one after the other
}

// An answerError is an answer with an error status.
type answerError struct {
	status        int
	code, message string
}

func (e *answerError) Error() string {
	return strings.TrimSpace(fmt.Sprintf("%d %s: %s %s", e.status, http.StatusText(e.status), e.code, e.message))
}

// statusOf returns the status of an error answer; 0 for other errors.
func statusOf(err error) int {
	if answer, is := errors.AsType[*answerError](err); is {
		return answer.status
	}
	return 0
}

// Away reports whether a request failed because the storage was not reached or cannot answer now, so that another try may
// succeed.
func Away(err error) bool {
	status := statusOf(err)
	if answer, is := errors.AsType[minio.ErrorResponse](err); is {
		status = answer.StatusCode
	}
	if status > 0 {
		return webservice.Temporary(status)
	}
	_, network := errors.AsType[net.Error](err)
	_, badCertificate := errors.AsType[*tls.CertificateVerificationError](err)
	return network && !badCertificate
}

// do makes a request, and repeats it if it fails temporarily. The caller closes the body of the answer, whose status is
// 2xx.
func (c *client) do(ctx context.Context, r call) (*http.Response, error) {
	pause := firstPause
	for n := 1; ; n++ {
		answer, err := c.try(ctx, r)
		status := statusOf(err)
		if err == nil || status > 0 && !webservice.Temporary(status) || status == http.StatusInsufficientStorage || n == attempts {
			return answer, err
		}
		select {
		case <-time.After(pause/2 + rand.N(pause/2)):
		case <-ctx.Done():
			return nil, errors.Join(err, ctx.Err())
		}
		pause = min(2*pause, mostPause)
	}
}

func (c *client) try(ctx context.Context, r call) (*http.Response, error) {
	var body io.Reader
	size := 0
	if r.body != nil {
		readers := make([]io.Reader, len(r.body))
		for i, part := range r.body {
			readers[i] = bytes.NewReader(part)
			size += len(part)
		}
		body = io.MultiReader(readers...)
	}
	request, err := http.NewRequestWithContext(ctx, r.method, r.url.String(), body)
	if err != nil {
		return nil, errors.New("the URL of the request is wrong")
	}
	if request.ContentLength = int64(size); size == 0 {
		request.Body = http.NoBody
	}
	if r.header != nil {
		request.Header = r.header.Clone()
	}
	if c.authorize != nil {
		if err := c.authorize(request); err != nil {
			return nil, fmt.Errorf("get credentials: %w", withoutURL(err))
		}
	}
	answer, err := c.http.Do(request)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", r.method, r.url.Host, withoutURL(err))
	}
	if answer.StatusCode < 300 {
		return answer, nil
	}
	text, _ := io.ReadAll(io.LimitReader(answer.Body, maxMessage)) // as much as there is
	_ = answer.Body.Close()                                        // it was only read
	failed := &answerError{status: answer.StatusCode, message: string(text)}
	c.explain(failed)
	return nil, failed
}

// tokenContext returns the context of requests for access tokens. They outlive the request that needs one first.
func tokenContext(transport *http.Transport) context.Context {
	return context.WithValue(context.Background(), oauth2.HTTPClient, &http.Client{Transport: transport, Timeout: tokenTimeout})
}

// withoutURL removes the URL of a request from an error, because its query may have a signature.
func withoutURL(err error) error {
	if u, is := errors.AsType[*url.Error](err); is {
		return u.Err
	}
	return err
}

// finish reads an answer to its end, so that its connection is used again.
func finish(answer *http.Response) error {
	_, err := io.Copy(io.Discard, io.LimitReader(answer.Body, maxMessage))
	return errors.Join(err, answer.Body.Close())
}

// checked returns the body of an answer to a read from an offset on, if it has the wanted version, or any if wanted is
// empty. Some servers ignore the condition of a read, and every server and proxy may ignore its range.
func checked(answer *http.Response, offset int64, version, wanted string) (io.ReadCloser, error) {
	var err error
	switch {
	case wanted != "" && version != wanted:
		err = ErrGone
	case offset > 0 && answer.Header.Get("Content-Range") == "":
		err = errors.New("the server, or a proxy before it, has ignored the header Range of a read and sent the object from its beginning")
	default:
		return answer.Body, nil
	}
	_ = answer.Body.Close() // it was only read
	return nil, err
}

// byteRange returns the value of a Range header.
func byteRange(offset, length int64) string {
	if length < 0 {
		return fmt.Sprintf("bytes=%d-", offset)
	}
	return fmt.Sprintf("bytes=%d-%d", offset, offset+length-1)
}

// nothing is the body of an object that ends before the wanted bytes.
func nothing() io.ReadCloser { return io.NopCloser(strings.NewReader("")) }
