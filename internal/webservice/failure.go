package webservice

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	// maxProblem is the most bytes of the body of a refusal that are read, and shownProblem how many of them the error
	// shows.
	maxProblem   = 16 << 10
	shownProblem = 300
)

// A TemporaryError is a failure after which another try may succeed.
type TemporaryError struct {
	Err   error
	After time.Duration // the other side asks to wait at least this long
}

func (e *TemporaryError) Error() string { return e.Err.Error() }
func (e *TemporaryError) Unwrap() error { return e.Err }

// Mark is the byte order mark that some services put before their answers. JSON does not have it, and its readers may
// ignore it (RFC 8259).
const Mark = "\ufeff"

// Unreachable returns the error for a request that got no answer, which begins with a text. It is temporary, unless the
// certificate is wrong. It leaves out the URL: it is long, and may not be the one that the user gave.
func Unreachable(text string, err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err
	}
	if errors.Is(err, io.EOF) { // io.EOF would mean the end of a source
		err = errors.New("the connection was closed")
	}
	_, badCertificate := errors.AsType[*tls.CertificateVerificationError](err)
	if err = fmt.Errorf("%s: %w", text, err); badCertificate {
		return err
	}
	return &TemporaryError{Err: err}
}

// Refusal returns the error for an answer whose status is not 2xx, which begins with a text. It is temporary if the
// status is. It shows the beginning of the body, without the secrets of the request's header, or where the answer
// redirects to, with a hint.
func Refusal(text string, r *http.Response, sent http.Header, hint string) error {
	body, _ := io.ReadAll(io.LimitReader(r.Body, maxProblem)) // a partial body is fine: the status says enough
	problem := string(body)
	for _, secret := range Secrets(sent) { // the body may contain parts of the request
		problem = strings.ReplaceAll(problem, secret, "…")
	}
	problem = strings.Join(strings.Fields(problem), " ")
	err := fmt.Errorf("%s %s", text, strings.TrimSpace(fmt.Sprintf("%d %s", r.StatusCode, http.StatusText(r.StatusCode))))
	switch location, noLocation := r.Location(); {
	case r.StatusCode < 400 && noLocation == nil:
		return fmt.Errorf("%w and redirects to %s://%s: %s", err, location.Scheme, location.Host, hint)
	case problem != "":
		err = fmt.Errorf("%w: %s", err, Shorten(problem, shownProblem))
	}
	if Temporary(r.StatusCode) {
		return &TemporaryError{Err: err, After: RetryAfter(r.Header)}
	}
	return err
}

// Shorten makes text valid UTF-8 of at most limit bytes.
func Shorten(text string, limit int) string {
	const mark = "…"
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) <= limit {
		return text
	}
	end := limit - len(mark)
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + mark
}
