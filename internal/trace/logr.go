package trace

import (
	"errors"
	"fmt"

	"github.com/go-logr/logr"
)

// logTo makes the SDK tell warn what it would print.
func logTo(warn func(error)) logr.Logger { return logr.New(sink{warn}) }

type sink struct{ warn func(error) }

func (s sink) Init(logr.RuntimeInfo)             {}
func (s sink) Enabled(level int) bool            { return level <= 1 } // the SDK's warnings
func (s sink) WithValues(...any) logr.LogSink    { return s }
func (s sink) WithName(string) logr.LogSink      { return s }
func (s sink) Info(_ int, msg string, kv ...any) { s.warn(errors.New(msg + detail(kv))) }

func (s sink) Error(err error, msg string, kv ...any) {
	s.warn(fmt.Errorf("%s%s: %w", msg, detail(kv), err))
}

func detail(kv []any) string {
	if len(kv) == 0 {
		return ""
	}
	return fmt.Sprint(" ", kv)
}
