package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/rs/zerolog"
)

// Exit codes. They are stable: scripts and podFailurePolicy read them.
const (
	ExitOK          = 0 // every object saved
	ExitFailed      = 1
	ExitUsage       = 2   // wrong usage or settings
	ExitUnreachable = 3   // a server or store cannot be reached
	ExitDead        = 4   // finished, with dead letters
	ExitInterrupted = 130 // a job that was stopped before it was done
	exitSignal      = 128
)

// codeError gives an error the exit code of its kind.
type codeError struct {
	code int
	err  error
}

func (e *codeError) Error() string { return e.err.Error() }
func (e *codeError) Unwrap() error { return e.err }

// WithCode makes err end the process with code. A nil err stays nil.
func WithCode(code int, err error) error {
	if err == nil {
		return nil
	}
	return &codeError{code: code, err: err}
}

// Usage is an error of how the program was called or set up.
func Usage(format string, args ...any) error {
	return WithCode(ExitUsage, fmt.Errorf(format, args...))
}

// ErrDeadLetters ends a process whose job is done but for its dead letters.
var ErrDeadLetters = WithCode(ExitDead, errors.New("finished with dead letters"))

// Code returns the exit code for err.
func Code(err error) int {
	if err == nil {
		return ExitOK
	}
	if coded, ok := errors.AsType[*codeError](err); ok {
		return coded.code
	}
	return ExitFailed
}

// Main runs a process: the context it hands to run ends at the first SIGINT or
// SIGTERM, and a second one ends the process at once with 130 or 143. It
// prints what run returns as one line on stderr and returns the exit code.
func Main(name string, stderr io.Writer, run func(ctx context.Context) error) int {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	defer signal.Stop(signals)
	return obey(name, stderr, signals, run)
}

// echo is how long a signal that has come may come again and still be the same
// one: timeout(1) signals its child, then the whole group; a terminal and a
// supervisor may do it both.
var echo = 500 * time.Millisecond

func obey(name string, stderr io.Writer, signals <-chan os.Signal, run func(ctx context.Context) error) int {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	var first os.Signal // nil: none has come
	var came time.Time
	for {
		select {
		case err := <-done:
			if err != nil {
				_, _ = fmt.Fprintf(stderr, "%s: %s\n", name, oneLine(err))
			}
			return Code(err)
		case s := <-signals:
			if s == first && time.Since(came) < echo {
				continue
			}
			if first != nil {
				_, _ = fmt.Fprintf(stderr, "\n%s: ended at once by a second signal\n", name)
				return exitSignal + int(s.(syscall.Signal))
			}
			first, came = s, time.Now()
			stop()
		}
	}
}

// oneLine keeps an error on one line: a joined error has one a line.
func oneLine(err error) string {
	return strings.ReplaceAll(strings.TrimSpace(err.Error()), "\n", "; ")
}

// Close closes c when a process ends, and logs when that fails.
func Close(log zerolog.Logger, what string, c io.Closer) {
	if err := c.Close(); err != nil {
		log.Error().Err(err).Msgf("close %s", what)
	}
}
