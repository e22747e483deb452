package sqlsink

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/spelling"
)

// explain maps an error of opening to one of the sentinels. The cause comes first in its text.
func (s *Sink) explain(err error) error {
	for _, known := range []error{sink.ErrSettings, sink.ErrUnreachable, sink.ErrNotSink, sink.ErrFormat, sink.ErrDamaged} {
		if errors.Is(err, known) {
			return fmt.Errorf("open sink %s: %w", s.at, err)
		}
	}
	kind := sink.ErrUnreachable
	switch s.classify(err) {
	case settings:
		kind = sink.ErrSettings
	case full:
		kind = sink.ErrFull
	case damaged:
		kind = sink.ErrDamaged
	case unexpected, again, away, misfit: // the database does not work as expected
	}
	if refused, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		e := explainConnect(refused)
		err = e
		if e.settings {
			kind = sink.ErrSettings
		}
	}
	return fmt.Errorf("open sink %s: %w: %w", s.at, err, kind)
}

// connectError is a failure to connect to PostgreSQL, in words for people.
type connectError struct {
	text     string
	settings bool // the server refuses a setting of the URL
	err      *pgconn.ConnectError
}

func (e *connectError) Error() string { return e.text }
func (e *connectError) Unwrap() error { return e.err }

// refusedTLS is the client library's text for a server without TLS. With sslmode=prefer, the default, the library then
// connects again without TLS, and the error of that attempt is the cause.
const refusedTLS = "server refused TLS connection"

// explainConnect returns each cause once, although the client library tries each address with TLS and without.
func explainConnect(err *pgconn.ConnectError) *connectError {
	e := &connectError{err: err}
	var causes []string
	for _, try := range tries(err) {
		cause := try.Error()
		if dial, ok := errors.AsType[*net.OpError](try); ok {
			cause = dial.Error()
		}
		if answer, ok := errors.AsType[*pgconn.PgError](try); ok {
			cause = answer.Message
			switch answer.Code {
			case "28P01": // wrong password
				cause += ": set the password in PGPASSWORD, in ~/.pgpass or in the URL"
			case "42704": // unknown setting
				_, name, _ := strings.Cut(cause, `"`)
				name, _, _ = strings.Cut(name, `"`)
				cause += spelling.Hint(name, tableSettingNames) + settingsHelp + ", and others are those of PostgreSQL"
				e.settings = true
			case "22023", "55P02": // wrong value; a setting that a client cannot change
				e.settings = true
			}
		}
		if !slices.Contains(causes, cause) {
			causes = append(causes, cause)
		}
	}
	if others := slices.DeleteFunc(slices.Clone(causes), func(c string) bool { return strings.HasSuffix(c, refusedTLS) }); len(others) > 0 {
		causes = others
	}
	e.text = strings.Join(causes, "; ")
	return e
}

// tries returns the errors that a ConnectError joins.
func tries(err *pgconn.ConnectError) []error {
	inner := err.Unwrap()
	for _, e := range []error{inner, errors.Unwrap(inner)} { // the second is for names that could not be resolved
		if joined, ok := e.(interface{ Unwrap() []error }); ok {
			return joined.Unwrap()
		}
	}
	return []error{inner}
}
