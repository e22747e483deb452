package app

import (
	"io"
	"os"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/term"
)

// NewLogger makes the process's logger as the settings say. Every line names
// the version, the job and, unless it is empty, the role.
func NewLogger(w io.Writer, c Common, role string) (zerolog.Logger, error) {
	level, err := zerolog.ParseLevel(c.LogLevel)
	if err != nil || c.LogLevel == "" {
		return zerolog.Nop(), WrongSetting("LOG_LEVEL", "=%q: use debug, info, warn or error", c.LogLevel)
	}
	switch c.LogFormat {
	case "json":
	case "console":
		w = console(w)
	case "auto":
		if IsTerminal(w) {
			w = console(w)
		}
	default:
		return zerolog.Nop(), WrongSetting("LOG_FORMAT", "=%q: use json, console or auto", c.LogFormat)
	}
	context := zerolog.New(w).Level(level).With().Timestamp().Str("version", Version()).Str("job", c.Job)
	if role != "" {
		context = context.Str("role", role)
	}
	return context.Logger(), nil
}

func console(w io.Writer) io.Writer {
	return zerolog.ConsoleWriter{
		Out: w, TimeFormat: time.TimeOnly, NoColor: os.Getenv("NO_COLOR") != "" || !IsTerminal(w),
		FieldsExclude: []string{"version", "job"},
	}
}

// IsTerminal says whether a reader or writer is a terminal, or stands before one and has
// its Fd.
func IsTerminal(of any) bool {
	f, ok := of.(interface{ Fd() uintptr })
	return ok && term.IsTerminal(int(f.Fd()))
}
