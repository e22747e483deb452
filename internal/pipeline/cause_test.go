package pipeline

import (
	"errors"
	"fmt"
	"testing"

	"github.com/chunkline/chunkline/internal/app"
	"github.com/chunkline/chunkline/internal/fetcher"
	"github.com/chunkline/chunkline/internal/transform"
)

// TestCause: the error of a job is the cause, when several roles return errors.
func TestCause(t *testing.T) {
	t.Parallel()
	end := fmt.Errorf("map: %w", transform.ErrEnd)
	broken := errors.Join(transform.ErrBroken, end)
	for _, c := range []struct {
		name            string
		fetch, mapper   error
		stopped         bool
		code            int
		fetcher, ending bool // which errors are in it
	}{
		{"done", nil, nil, false, app.ExitOK, false, false},
		{"done, ended badly", nil, end, false, app.ExitFailed, false, true},
		{"dead letters", app.ErrDeadLetters, nil, false, app.ExitDead, true, false},
		{"dead letters, ended badly", app.ErrDeadLetters, end, false, app.ExitFailed, true, true},
		{"stopped", app.WithCode(app.ExitInterrupted, fetcher.ErrUnfinished), nil, true, app.ExitInterrupted, true, false},
		{"stopped, ended badly", app.WithCode(app.ExitInterrupted, fetcher.ErrUnfinished), end, true, app.ExitInterrupted, true, true},
		{"stopped by itself", fetcher.ErrUnfinished, end, false, app.ExitFailed, false, true},
		{"broken", fetcher.ErrUnfinished, broken, false, app.ExitFailed, false, true},
		{"broken, then stopped", fetcher.ErrUnfinished, broken, true, app.ExitFailed, false, true},
	} {
		err := cause(c.fetch, c.mapper, nil, c.stopped)
		if app.Code(err) != c.code || c.fetch != nil && errors.Is(err, c.fetch) != c.fetcher || errors.Is(err, transform.ErrEnd) != c.ending {
			t.Errorf("%s: %v with code %d, want %d", c.name, err, app.Code(err), c.code)
		}
	}
}
