package source

import (
	"errors"
	"strings"
	"testing"
)

// No text that is shown or kept contains a password, wherever it stands in the URL.
func TestPostgres_passwords(t *testing.T) {
	t.Parallel()
	const canary, escaped = "ca/nary#7?&", "ca%2Fnary%237%3F%26"
	for given, want := range map[string]string{
		"postgres://me:" + escaped + "@127.0.0.1:1/d?query=SELECT 1 AS a&key=a":                             "postgres://me@127.0.0.1:1/d?query=SELECT 1 AS a&key=a",
		"postgres://127.0.0.1:1/d?password=" + escaped + "&query=SELECT 1 AS a&sslpassword=canary&key=a":    "postgres://127.0.0.1:1/d?query=SELECT 1 AS a&key=a",
		"postgresql://me:" + escaped + "@127.0.0.1:1/d?sslmode=disable&query=SELECT '@:' AS a&key=a":        "postgresql://me@127.0.0.1:1/d?sslmode=disable&query=SELECT '@:' AS a&key=a",
		"postgres://me:canary@127.0.0.1:1,127.0.0.1:2/d?target_session_attrs=any&query=SELECT 1 AS a&key=a": "postgres://me@127.0.0.1:1,127.0.0.1:2/d?target_session_attrs=any&query=SELECT 1 AS a&key=a",
	} {
		s, err := Open(Options{Size: 1, Bytes: 100}, given)
		if err != nil {
			t.Errorf("%s: %v", given, err)
			continue
		}
		if s.Identity() != want {
			t.Errorf("the plan of %s has %s, want %s", given, s.Identity(), want)
		}
		_, err = drain(s) // no server listens on these ports
		if err == nil || strings.Contains(err.Error(), "nary") || !strings.Contains(err.Error(), "127.0.0.1") {
			t.Errorf("%s: %v, want an error without the password", given, err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	for _, given := range []string{
		"postgres://me:canary@h:port/d?query=SELECT 1&key=a",
		"postgres://me:canary@h/d?query=SELECT 1",
		"postgres://me:can%ary@h/d?query=SELECT 1&key=a",
		"postgres://me:canary" + canary + "@h/d?query=SELECT 1&key=a",
		"postgres://me:x/canary@h/d?query=SELECT 1&key=a&sslmode=no",
		"postgres://h/d?query=SELECT 1&key=a&sslmode=no&password=canary",
		"postgres://me:canary@h/d?key=a&query=" + strings.Repeat("x", 5000),
	} {
		if _, err := Open(Options{Size: 1, Bytes: 100}, given); !errors.Is(err, ErrSettings) || strings.Contains(err.Error(), "nary") {
			t.Errorf("%.70s: %v, want %v without the password", given, err, ErrSettings)
		}
	}
}
