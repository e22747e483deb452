package webservice

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
)

// Credentials are sent to a service with each request. They are secret, and part of no setting, identity or plan.
type Credentials struct {
	Token   string // bearer token, or @FILE that holds it; "": none
	Headers string // lines "Name: value", or @FILE that holds them; "": none
}

// Check returns an error that says what is wrong with the credentials, without showing them. Their settings begin with
// prefix, such as TRANSFORM.
func (c Credentials) Check(prefix string) error {
	_, err := c.Header(prefix, nil)
	return err
}

// A CredentialError names the setting that is wrong.
type CredentialError struct {
	Setting string
	Err     error
}

func (e *CredentialError) Error() string { return e.Setting + " (not shown): " + e.Err.Error() }
func (e *CredentialError) Unwrap() error { return e.Err }

// Header returns the headers of each request: base, and the credentials.
func (c Credentials) Header(prefix string, base http.Header) (http.Header, error) {
	h := http.Header{}
	maps.Copy(h, base)
	text, err := secret(c.Headers)
	if err == nil {
		err = addHeaders(h, text)
	}
	if err != nil {
		return nil, &CredentialError{prefix + "_HEADERS", err}
	}
	token, err := secret(c.Token)
	if err == nil && strings.ContainsFunc(token, isControlOrBlank) {
		err = errors.New("it has blanks or line breaks within; use the token alone, without Bearer")
	}
	if err != nil {
		return nil, &CredentialError{prefix + "_TOKEN", err}
	}
	if token != "" {
		h.Set("Authorization", "Bearer "+token)
	}
	return h, nil
}

// InFiles reports whether files hold the credentials, which may change.
func (c Credentials) InFiles() bool {
	return strings.HasPrefix(c.Token, "@") || strings.HasPrefix(c.Headers, "@")
}

// Secrets returns the secret values of a header. It omits values of less than 4 bytes, which would occur in ordinary
// words.
func Secrets(h http.Header) []string {
	const shortest = 4
	var values []string
	for name, all := range h {
		if name == "Content-Type" || name == "Accept" || name == "User-Agent" {
			continue
		}
		for _, value := range all {
			_, credentials, _ := strings.Cut(value, " ") // after Bearer or Basic
			values = append(values, value, credentials)
		}
	}
	return slices.DeleteFunc(values, func(value string) bool { return len(value) < shortest })
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
