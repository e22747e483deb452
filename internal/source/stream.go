package source

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/process"
)

// A stream is an input that cannot be read again: standard input, a command, an HTTP API, or a query.
type stream interface {
	// begin starts the stream after the portion with this next, or from its beginning if next is nil.
	begin(next json.RawMessage) (upstream, error)

	// restart says how a later run gets the stream again.
	restart() restart
}

// restart is how a run treats a stream that an earlier run has spooled.
type restart int

const (
	// isGivenAgain: every run gets the stream, so it is read and compared even if the spool is complete.
	isGivenAgain restart = iota

	// beginsAnew: unless the spool is complete, the stream starts again and must give the same bytes.
	beginsAnew

	// goesOn: the stream continues after the last spooled portion.
	goesOn

	// isWhole: the stream is a snapshot. All of it is spooled before any of it is returned, so if a run is killed
	// before that, the next one may start over with other bytes.
	isWhole
)

// An upstream is a stream that has begun.
type upstream interface {
	// fetch returns the next portion, which is valid until the next call. After the last portion it returns io.EOF. A
	// stream that breaks off returns another error.
	fetch(ctx context.Context) (portion, error)
	close() error
}

// A portion of a stream is the unit of spooling.
type portion struct {
	data []byte
	next json.RawMessage // where the stream continues after it; nil if it cannot
}

// portionSize is the most bytes of a portion of standard input or a command.
const portionSize = 4 << 20

// IsStream reports whether a source is a command, an API or a query. Such a source is not a list.
func IsStream(spec string) bool {
	spec = strings.TrimSpace(spec)
	return isCommand(spec) || isAPI(spec) || isDatabase(spec)
}

// expandStream returns the file of a source that is a command, an API or a query, and nil for other sources.
func expandStream(o Options, spec string) ([]file, error) {
	spec = strings.TrimSpace(spec)
	switch {
	case isAPI(spec):
		return expandAPI(o, spec)
	case isDatabase(spec):
		return expandDatabase(o, spec)
	case !isCommand(spec):
		return nil, nil
	}
	f, err := parseCommand(o, spec)
	if err != nil {
		return nil, wrong(spec, err)
	}
	return []file{f}, nil
}

// expandAPI returns the file of an API, which holds JSON Lines.
func expandAPI(o Options, spec string) ([]file, error) {
	a, err := parseAPI(spec)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSettings, err)
	}
	if !o.Format.isAuto() {
		return nil, fmt.Errorf("%w: the objects of an API are JSON: leave the format out", ErrSettings)
	}
	if !o.Replay {
		if err := o.Credentials.Check("SOURCE"); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrSettings, err)
		}
	}
	a.access, a.dial = o.Credentials, o.dial
	return []file{{name: a.text, format: Format{kind: chunk.Lines}, stream: a}}, nil
}

// stdin is standard input.
type stdin struct{ r io.Reader }

func (stdin) restart() restart { return isGivenAgain }

func (s stdin) begin(json.RawMessage) (upstream, error) {
	return newPump(spooledBlocks, func() (io.ReadCloser, error) { return io.NopCloser(s.r), nil }), nil
}

// maxSpec is the most bytes of a command or URL that fit into a plan.
const maxSpec = 4000

const commandForm = "cmd:PROGRAM ARG…, or cmd?format=csv:PROGRAM ARG…"

func isCommand(spec string) bool {
	return strings.HasPrefix(spec, "cmd:") || strings.HasPrefix(spec, "cmd?")
}

// parseCommand reads cmd:PROGRAM or cmd?OPTIONS:PROGRAM.
func parseCommand(o Options, spec string) (file, error) {
	options, text, ok := strings.Cut(strings.TrimPrefix(spec, "cmd"), ":")
	if !ok {
		return file{}, fmt.Errorf("the program is missing; use %s", commandForm)
	}
	parsed, err := process.Parse("cmd:", text)
	if err != nil {
		return file{}, err
	}
	if text = strings.TrimSpace(text); len(text) > maxSpec {
		return file{}, fmt.Errorf("the command has %d bytes, more than %d; put it into a script", len(text), maxSpec)
	}
	format, err := formatOf("", strings.TrimPrefix(options, "?"), o.Format)
	return file{name: "cmd:" + text, format: format, stream: &command{Command: parsed, stderr: o.Stderr}}, err
}
