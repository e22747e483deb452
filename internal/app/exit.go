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

// Exit codes. They are stable, because scripts and podFailurePolicy depend on them.
const (
	ExitOK          = 0 // every object saved
	ExitFailed      = 1
	ExitUsage       = 2   // wrong usage or settings
	ExitUnreachable = 3   // a server or store cannot be reached
	ExitDead        = 4   // finished, with dead letters
	ExitInterrupted = 130 // stopped before the job was done
	exitSignal      = 128
)

// codeError is an error with an exit code.
type codeError struct {
	code int
	err  error
}

func (e *codeError) Error() string { return e.err.Error() }
func (e *codeError) Unwrap() error { return e.err }

// WithCode gives err an exit code. A nil err stays nil.
func WithCode(code int, err error) error {
	if err == nil {
		return nil
	}
	return &codeError{code: code, err: err}
}

// Usage returns an error about wrong arguments or settings.
func Usage(format string, args ...any) error {
	return WithCode(ExitUsage, fmt.Errorf(format, args...))
}

// ErrDeadLetters is the result of a job that is done but has dead letters.
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

// Main runs a process. The context of run ends at the first SIGINT or SIGTERM; a second signal ends the process at once
// with 130 or 143. Main prints the error of run as one line on stderr and returns the exit code.
func Main(name string, stderr io.Writer, run func(ctx context.Context) error) int {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	defer signal.Stop(signals)
	return runUntilSignal(name, stderr, signals, run)
}

// repeatWindow is the time within which a repeated signal counts as the same one: timeout(1) signals its child and then
// the whole group, and a terminal and a supervisor may both do so.
var repeatWindow = 500 * time.Millisecond

func runUntilSignal(name string, stderr io.Writer, signals <-chan os.Signal, run func(ctx context.Context) error) int {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	var first os.Signal // nil if none has come
	var came time.Time
	for {
		select {
		case err := <-done:
			if err != nil {
				_, _ = fmt.Fprintf(stderr, "%s: %s\n", name, oneLine(err))
			}
			return Code(err)
		case s := <-signals:
			if s == first && time.Since(came) < repeatWindow {
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

// oneLine joins the lines of an error; a joined error has several.
func oneLine(err error) string {
	return strings.ReplaceAll(strings.TrimSpace(err.Error()), "\n", "; ")
}

// Close closes c at the end of a process and logs an error.
func Close(log zerolog.Logger, what string, c io.Closer) {
	if err := c.Close(); err != nil {
		log.Error().Err(err).Msgf("close %s", what)
	}
}
