package saver_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/chunkline/chunkline/internal/saver"
	"github.com/chunkline/chunkline/internal/sink"
)

// mergedResult is the result of a finished job, or the reason why there is none.
type mergedResult struct {
	text string
	err  error
}

func (l mergedResult) Summary() sink.Summary { return sink.Summary{Objects: 7} }

func (l mergedResult) OpenOutput(dead bool) (sink.Merged, error) {
	text := l.text
	if dead {
		text = ""
	}
	return sink.Merged{ReaderAt: strings.NewReader(text), Closer: io.NopCloser(nil), Bytes: int64(len(text)), Sum: 0xabc}, l.err
}

// downloads returns a server of a result.
func downloads(from mergedResult, token string) *http.ServeMux {
	mux := http.NewServeMux()
	(&saver.Downloads{From: from, Token: token}).Register(mux)
	return mux
}

// TestDownload: the result can be downloaded completely or from a byte on, with an ETag. The
// download is refused while there is no result, and without permission.
func TestDownload(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		path, client, host, token string // default client and host: this machine
		err                       error
		has, sends                string // tokens
		byteRange, ifRange        string
		want                      int
		body                      string
	}{
		"whole":                {want: 200, body: "0123456789"},
		"dead letters, none":   {path: "/dead-letters", want: 200},
		"the rest":             {byteRange: "bytes=7-", ifRange: `"xxh64-0000000000000abc"`, want: 206, body: "789"},
		"the rest of another":  {byteRange: "bytes=7-", ifRange: `"xxh64-0000000000000abd"`, want: 200, body: "0123456789"},
		"not done":             {err: fmt.Errorf("sink: %w", sink.ErrIncomplete), want: 409, body: "not done: 7 objects"},
		"removed":              {err: io.ErrUnexpectedEOF, want: 500, body: "unexpected EOF"},
		"another machine":      {client: "10.0.0.7:4000", want: 403, body: "RESULT_TOKEN"},
		"a stranger's name":    {host: "evil.example:3541", want: 403, body: "RESULT_TOKEN"},
		"a token":              {client: "10.0.0.7:4000", host: "saver:3541", has: "a token", sends: "a token", want: 200, body: "0123456789"},
		"another token":        {has: "a token", sends: "another", want: 401, body: "not the saver's RESULT_TOKEN"},
		"no token, from here":  {has: "a token", want: 401, body: "not the saver's RESULT_TOKEN"},
		"something else there": {path: "/outputs", want: 404, body: "not found"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := "/output"
			if c.path != "" {
				path = c.path
			}
			r := httptest.NewRequest(http.MethodGet, "http://localhost:3541"+path, nil)
			r.RemoteAddr = "127.0.0.1:4000"
			if c.client != "" {
				r.RemoteAddr = c.client
			}
			if c.host != "" {
				r.Host = c.host
			}
			if c.byteRange != "" {
				r.Header.Set("Range", c.byteRange)
				r.Header.Set("If-Range", c.ifRange)
			}
			if c.sends != "" {
				r.Header.Set("Authorization", "Bearer "+c.sends)
			}
			w := &recorder{ResponseRecorder: httptest.NewRecorder()}
			downloads(mergedResult{"0123456789", c.err}, c.has).ServeHTTP(w, r)
			got := w.Body.String()
			if w.Code != c.want || !strings.Contains(got, c.body) || c.body == "" && got != "" {
				t.Errorf("%d %q, want %d with %q", w.Code, got, c.want, c.body)
			}
			if etag := w.Header().Get("ETag"); (etag == `"xxh64-0000000000000abc"`) != (c.want < 300) {
				t.Errorf("%d with the ETag %s", w.Code, etag)
			}
		})
	}
}

// recorder is a response that accepts deadlines.
type recorder struct{ *httptest.ResponseRecorder }

func (recorder) SetWriteDeadline(time.Time) error { return nil }

// TestDownload_long: a download may last longer than the server's WriteTimeout.
func TestDownload_long(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("0123456789", 1<<20/10)
	server := httptest.NewUnstartedServer(downloads(mergedResult{text: text}, ""))
	server.Config.WriteTimeout = time.Nanosecond // expired when the handler begins
	server.Start()
	defer server.Close()
	response, err := server.Client().Get(server.URL + "/output")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if got, err := io.ReadAll(response.Body); err != nil || !bytes.Equal(got, []byte(text)) {
		t.Errorf("got %d of %d bytes: %v", len(got), len(text), err)
	}
}

// TestDownload_crowd: concurrent downloads are bounded, so that commits can use the disk.
func TestDownload_crowd(t *testing.T) {
	t.Parallel()
	mux := downloads(mergedResult{text: "0123456789"}, "")
	begun, end, ended := make(chan struct{}), make(chan struct{}), make(chan struct{})
	ask := func(w http.ResponseWriter) {
		r := httptest.NewRequest(http.MethodGet, "http://localhost/output", nil)
		r.RemoteAddr = "127.0.0.1:4000"
		mux.ServeHTTP(w, r)
	}
	for range 4 {
		go func() {
			ask(&slow{recorder: recorder{httptest.NewRecorder()}, begun: begun, end: end})
			ended <- struct{}{}
		}()
		<-begun
	}
	one := recorder{httptest.NewRecorder()}
	if ask(one); one.Code != http.StatusServiceUnavailable || one.Header().Get("Retry-After") == "" {
		t.Errorf("fifth download: %d, want 503", one.Code)
	}
	close(end)
	for range 4 {
		<-ended
	}
	again := recorder{httptest.NewRecorder()}
	if ask(again); again.Code != http.StatusOK {
		t.Errorf("after that: %d, want 200", again.Code)
	}
}

// slow is a client that reads no byte before end.
type slow struct {
	recorder
	begun, end chan struct{}
}

func (s *slow) Write(b []byte) (int, error) {
	s.begun <- struct{}{}
	<-s.end
	return s.recorder.Write(b) //nolint:wrapcheck // the test does not read the error
}
