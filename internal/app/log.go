package app

import (
	"io"
	"os"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/term"
)

// NewLogger returns the process's logger, configured by the settings. Every line has the version, the job and, unless
// it is empty, the role.
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

// IsTerminal reports whether a reader or writer is a terminal, or wraps one and returns its descriptor.
func IsTerminal(of any) bool {
	f, ok := of.(interface{ Fd() uintptr })
	return ok && term.IsTerminal(int(f.Fd()))
}

// Patience is how long an outage must last before it is logged: roles that start together wait for each other for a
// moment.
const Patience = time.Second

// A Trouble is an operation that fails repeatedly: an outage. An outage is logged once after it has lasted for a while,
// and once, with its duration, when it ends. So an outage of a night does not fill the disk. With Repeat it is logged
// again while it lasts, at growing intervals. The methods may be called from several goroutines.
type Trouble struct {
	log          zerolog.Logger
	level        zerolog.Level
	patience     time.Duration
	begins, ends string
	repeat       time.Duration // 0: never

	mu     sync.Mutex
	since  time.Time // guarded by mu; when the outage began; zero if there is none
	logged bool      // guarded by mu; the outage was logged
	again  time.Time // guarded by mu; when it is logged next
}

// NewTrouble returns a Trouble that logs begins at level once the outage has lasted for patience, and ends when it is
// over. If ends is empty, the end is not logged.
func NewTrouble(log zerolog.Logger, level zerolog.Level, patience time.Duration, begins, ends string) *Trouble {
	return &Trouble{log: log, level: level, patience: patience, begins: begins, ends: ends}
}

// Repeat makes t log the outage again while it lasts, with its duration: after first, and then each time the duration
// has doubled. It returns t and must be called before the first Note.
func (t *Trouble) Repeat(first time.Duration) *Trouble {
	t.repeat = first
	return t
}

// Note records a failure, or with nil that the operation succeeds.
func (t *Trouble) Note(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case err == nil && t.logged:
		if t.ends != "" {
			t.log.WithLevel(min(t.level, zerolog.InfoLevel)).Stringer("after", time.Since(t.since).Round(time.Millisecond)).Msg(t.ends)
		}
		t.since, t.logged = time.Time{}, false
	case err == nil:
		t.since = time.Time{}
	default:
		now := time.Now()
		if t.since.IsZero() {
			t.since = now
		}
		switch {
		case !t.logged && now.Sub(t.since) >= t.patience:
			t.logged, t.again = true, now.Add(t.repeat)
			t.log.WithLevel(t.level).Err(err).Msg(t.begins)
		case t.logged && t.repeat > 0 && !now.Before(t.again):
			t.again = now.Add(now.Sub(t.since))
			t.log.WithLevel(t.level).Err(err).Stringer("after", now.Sub(t.since).Round(time.Second)).Msg(t.begins)
		}
	}
}

// Lasts reports whether there is an outage that was logged.
func (t *Trouble) Lasts() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.logged
}

// Sampled returns a logger for events that other hosts can cause at will: it logs ten lines a minute, so that a flood
// does not fill the disk.
func Sampled(log zerolog.Logger) zerolog.Logger {
	return log.Sample(&zerolog.BurstSampler{Burst: 10, Period: time.Minute})
}
