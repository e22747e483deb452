package transform

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/webservice"
)

// A Transform turns one object into zero or more outputs. One Transform serves one worker: it is not for concurrent
// use.
type Transform interface {
	// Map appends the outputs of object to dst, each one JSON value followed by '\n', and returns it. If it returns an
	// error, this object alone becomes a dead letter with that text. Map keeps neither slice.
	Map(ctx context.Context, object, dst []byte) ([]byte, error)

	// Close stops everything the Transform has running. The Transform is not used afterwards.
	Close() error
}

// A Chunker is a Transform that is told where a chunk begins and ends. If either call fails, Run drops the whole chunk.
type Chunker interface {
	Begin(ctx context.Context) error
	End(ctx context.Context) error
}

var (
	// ErrSettings means that the TRANSFORM setting is wrong. The text says what is wrong and what would be right.
	ErrSettings = errors.New("wrong transform")

	// ErrBroken means that the transform can map no object at all: its program cannot be started. An operator must look
	// at this mapper.
	ErrBroken = errors.New("transform cannot run")
)

// Kinds lists the forms of a setting, for messages and help texts.
const Kinds = "identity, users, users?duration=10s, jq:PROGRAM, exec:PROGRAM ARG…, https://HOST/PATH"

// A Spec is a parsed TRANSFORM setting.
type Spec struct {
	// Stderr receives the standard error of programs (exec) in whole lines, each prefixed with the program's name, at
	// most 64 KiB for a chunk. It must be safe for concurrent use if there are several workers. Nil means os.Stderr.
	Stderr io.Writer

	// InProcess runs jq programs in this process, for tests in simulated time. An object can then crash this process.
	InProcess bool
	// Warn is called with one line about a program (exec) that misbehaves, and what to do about it. It must be safe for
	// concurrent use. Nil writes the line to Stderr.
	Warn func(text string)

	// EndTimeout is how long a program (exec) may run after its input has ended. Then it gets SIGTERM, and 5 s later
	// SIGKILL. 0 means 30 s.
	EndTimeout time.Duration

	// Credentials go to a service (http) with each request.
	Credentials webservice.Credentials

	// Dial connects to a service (http), for tests in simulated time. Nil means the network, or the proxy that
	// HTTP_PROXY and HTTPS_PROXY name.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	text   string
	files  string // hash of the files that an exec command names
	conns  int    // connections of a worker to a service (http)
	atOnce int    // objects that a worker maps at the same time; 0: one
	build  func(Spec) Transform
}

// Parse reads a TRANSFORM setting, one of [Kinds]. It compiles a jq program and looks up an exec program in PATH, so
// that mistakes show before any work starts. Errors wrap ErrSettings and are one line.
func Parse(spec string) (Spec, error) {
	text := strings.TrimSpace(spec)
	if text == "" {
		return Spec{}, fmt.Errorf("%w: the setting is empty; use %s", ErrSettings, Kinds)
	}
	s, err := parse(text)
	switch {
	case err != nil && CallsService(text): // the text may hold a password by mistake
		return Spec{}, fmt.Errorf("%w: %w", ErrSettings, err)
	case err != nil:
		return Spec{}, fmt.Errorf("%w %q: %w", ErrSettings, text, err)
	}
	s.text = text
	return s, nil
}

func parse(text string) (Spec, error) {
	if CallsService(text) {
		return parseService(text)
	}
	end := strings.IndexAny(text, ":?")
	if end < 0 {
		end = len(text)
	}
	kind, rest := text[:end], text[end:]
	switch kind {
	case "identity":
		if rest != "" {
			return Spec{}, errors.New("identity takes no options; use identity")
		}
		return Spec{build: func(Spec) Transform { return identity{} }}, nil
	case "users":
		return parseUsers(rest)
	case "jq":
		return parseJQ(rest)
	case "exec":
		return parseExec(rest)
	}
	return Spec{}, fmt.Errorf("unknown kind %q; use one of %s", kind, Kinds)
}

func parseUsers(rest string) (Spec, error) {
	query, ok := strings.CutPrefix(rest, "?")
	if rest != "" && !ok {
		return Spec{}, errors.New("use users or users?duration=10s")
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return Spec{}, fmt.Errorf("use users?duration=10s: %w", err)
	}
	var duration time.Duration
	for name, all := range values {
		if name != "duration" {
			return Spec{}, fmt.Errorf("users has no option %q; use users?duration=10s", name)
		}
		if len(all) > 1 {
			return Spec{}, fmt.Errorf("duration is given %d times; use users?duration=10s", len(all))
		}
		duration, err = time.ParseDuration(all[0])
		if err != nil || duration < 0 {
			return Spec{}, fmt.Errorf("duration %q is not a duration; use for example 10s or 250ms", all[0])
		}
	}
	return Spec{build: func(Spec) Transform { return &users{duration: duration} }}, nil
}

// New makes a Transform for one worker. It starts no process yet.
func (s Spec) New() (Transform, error) {
	if s.build == nil {
		return nil, fmt.Errorf("%w: it was never parsed", ErrSettings)
	}
	if s.Kind() == "http" {
		if err := s.Credentials.Check(settingPrefix); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrSettings, err)
		}
	}
	return s.build(s), nil
}

// Kind returns the kind of the transform: identity, users, jq, exec or http.
func (s Spec) Kind() string {
	if CallsService(s.text) {
		return "http"
	}
	kind, _, _ := strings.Cut(s.text, ":")
	kind, _, _ = strings.Cut(kind, "?")
	return kind
}

// AtOnce is how many objects one Transform maps at the same time, at least 1: several requests, each with a batch.
func (s Spec) AtOnce() int { return min(max(1, s.atOnce), chunk.MaxSize) }

// Descriptors returns how many files one worker's processes keep open in this process: three pipes and a handle for
// each process, and a file for each connection to a service. An exec worker also has a spare process.
func (s Spec) Descriptors() int {
	const process = 4
	switch s.Kind() {
	case "jq":
		return process
	case "exec":
		return 2 * process
	}
	return s.conns
}

// String returns the setting.
func (s Spec) String() string { return s.text }

// identity returns each object byte for byte.
type identity struct{}

func (identity) Map(_ context.Context, object, dst []byte) ([]byte, error) {
	return append(append(dst, object...), '\n'), nil
}

func (identity) Close() error { return nil }
func (identity) quick()       {}
