package transform

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
)

// Credentials are what a service (http) gets with each request beside the objects.
// They are secret, and no part of the transform's setting or identity.
type Credentials struct {
	Token   string // bearer token, or @FILE that holds it; "": none
	Headers string // lines "Name: value", or @FILE that holds them; "": none
}

// Check says what is wrong with the credentials, without showing them.
func (c Credentials) Check() error {
	_, err := c.header()
	return err
}

// A CredentialError names the setting that is wrong.
type CredentialError struct {
	Setting string
	Err     error
}

func (e *CredentialError) Error() string { return e.Setting + " (not shown): " + e.Err.Error() }
func (e *CredentialError) Unwrap() error { return e.Err }

// header returns the headers of each request.
func (c Credentials) header() (http.Header, error) {
	h := http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json"}, "User-Agent": {"chunkline"}}
	text, err := secret(c.Headers)
	if err == nil {
		err = addHeaders(h, text)
	}
	if err != nil {
		return nil, &CredentialError{"TRANSFORM_HEADERS", err}
	}
	token, err := secret(c.Token)
	if err == nil && strings.ContainsFunc(token, isControlOrBlank) {
		err = errors.New("it has blanks or line breaks within; use the token alone, without Bearer")
	}
	if err != nil {
		return nil, &CredentialError{"TRANSFORM_TOKEN", err}
	}
	if token != "" {
		h.Set("Authorization", "Bearer "+token)
	}
	return h, nil
}

// secret returns the value of a setting, or the content of the file that it names.
func secret(setting string) (string, error) {
	name, isFile := strings.CutPrefix(setting, "@")
	if !isFile {
		return strings.TrimSpace(setting), nil
	}
	content, err := os.ReadFile(name)
	if err != nil {
		return "", fmt.Errorf("read file: %w", err)
	}
	text := strings.TrimSpace(string(content))
	if text == "" {
		return "", fmt.Errorf("the file %s is empty", name)
	}
	return text, nil
}

func addHeaders(h http.Header, text string) error {
	for i, line := range strings.Split(text, "\n") {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		name, value = http.CanonicalHeaderKey(name), strings.TrimSpace(value)
		switch {
		case !ok || name == "" || strings.ContainsFunc(name, isNoTokenRune) || strings.ContainsFunc(value, isControl):
			return fmt.Errorf("line %d is not a header; use lines NAME: VALUE", i+1)
		case name == "Host" || name == "Content-Length" || name == "Transfer-Encoding" || name == "Connection":
			return fmt.Errorf("line %d: the header %s follows from the request and cannot be set", i+1, name)
		}
		h.Set(name, value)
	}
	return nil
}

func isControl(r rune) bool        { return r < ' ' && r != '\t' || r == 0x7f }
func isControlOrBlank(r rune) bool { return r <= ' ' || r == 0x7f }

// isNoTokenRune reports whether r cannot be in the name of a header (RFC 9110, 5.6.2).
func isNoTokenRune(r rune) bool {
	return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
}

// auth holds the headers of a worker's requests.
type auth struct {
	Credentials
	warn   func(text string)
	header http.Header // never changed; another one takes its place
	broken bool        // the last refresh failed
}

// newAuth returns the headers of s.Credentials, which Spec.New has checked.
func newAuth(s Spec) *auth {
	a := &auth{Credentials: s.Credentials, warn: s.Warn}
	a.header, _ = s.Credentials.header()
	return a
}

// refresh reads the files again, because tokens expire and are replaced. If that
// fails, the headers stay as they are.
func (a *auth) refresh() {
	if !strings.HasPrefix(a.Token, "@") && !strings.HasPrefix(a.Headers, "@") {
		return
	}
	header, err := a.Credentials.header()
	if err == nil {
		a.header = header
	} else if !a.broken && a.warn != nil {
		a.warn("going on with the headers that were read before: " + err.Error())
	}
	a.broken = err != nil
}

// conceal removes secrets from a text of the service, which may repeat its request.
func (a *auth) conceal(text string) string {
	const shortest = 4 // a shorter one would be found in every other word
	var values []string
	for name, all := range a.header {
		if name == "Content-Type" || name == "Accept" || name == "User-Agent" {
			continue
		}
		for _, value := range all {
			_, credentials, _ := strings.Cut(value, " ") // behind Bearer or Basic
			values = append(values, value, credentials)
		}
	}
	for _, value := range values {
		if len(value) >= shortest {
			text = strings.ReplaceAll(text, value, "…")
		}
	}
	return text
}
