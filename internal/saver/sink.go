package saver

import (
	"errors"
	"fmt"

	"github.com/chunkline/chunkline/internal/app"
	"github.com/chunkline/chunkline/internal/sink"
)

// SinkError gives the error of opening a sink its exit code: a wrong setting,
// a store that cannot be reached, or content that must not be touched. Setting
// is what the user named the sink with.
func SinkError(setting string, err error) error {
	switch {
	case errors.Is(err, sink.ErrSettings):
		return app.Usage("%s: %w", setting, err)
	case errors.Is(err, sink.ErrForeign):
		return app.WithCode(app.ExitUsage, err)
	case errors.Is(err, sink.ErrUnreachable):
		return app.WithCode(app.ExitUnreachable, fmt.Errorf("open sink: %w", err))
	default:
		return fmt.Errorf("open sink: %w", err)
	}
}
