package app

import (
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// Patience is how long something may be away before it is worth a line in the
// log: roles that start together wait for each other for a moment.
const Patience = time.Second

// A Trouble is something that fails again and again until it is over. It is
// said once when it has lasted, and once when it is over, with how long,
// however often and by however many it is noticed: an outage of a night fills
// no disk. With Repeat it is said again while it lasts, less and less often. Its methods may be called from several goroutines.
type Trouble struct {
	log          zerolog.Logger
	level        zerolog.Level
	patience     time.Duration
	begins, ends string
	repeat       time.Duration // 0: never

	mu    sync.Mutex
	since time.Time // guarded by mu; zero: there is none
	said  bool      // guarded by mu
	again time.Time // guarded by mu; when it is to be said again
}

// NewTrouble is for what is said at level, with the message begins, once it
// has lasted for patience, and with ends when it is over; no ends, no word.
func NewTrouble(log zerolog.Logger, level zerolog.Level, patience time.Duration, begins, ends string) *Trouble {
	return &Trouble{log: log, level: level, patience: patience, begins: begins, ends: ends}
}

// Repeat makes t be said again while it lasts, with how long that is: after
// first, and then whenever it has lasted twice as long. It returns t, and is
// called before the first Note.
func (t *Trouble) Repeat(first time.Duration) *Trouble {
	t.repeat = first
	return t
}

// Note notes that what may fail has failed, or, with nil, that it has not.
func (t *Trouble) Note(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case err == nil && t.said:
		if t.ends != "" {
			t.log.WithLevel(min(t.level, zerolog.InfoLevel)).Stringer("after", time.Since(t.since).Round(time.Millisecond)).Msg(t.ends)
		}
		t.since, t.said = time.Time{}, false
	case err == nil:
		t.since = time.Time{}
	default:
		now := time.Now()
		if t.since.IsZero() {
			t.since = now
		}
		switch {
		case !t.said && now.Sub(t.since) >= t.patience:
			t.said, t.again = true, now.Add(t.repeat)
			t.log.WithLevel(t.level).Err(err).Msg(t.begins)
		case t.said && t.repeat > 0 && !now.Before(t.again):
			t.again = now.Add(now.Sub(t.since))
			t.log.WithLevel(t.level).Err(err).Stringer("after", now.Sub(t.since).Round(time.Second)).Msg(t.begins)
		}
	}
}

// Lasts says whether there is trouble that was said.
func (t *Trouble) Lasts() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.said
}

// Sampled is log for what others can make happen as often as they like: ten
// lines a minute, so that a flood fills no disk.
func Sampled(log zerolog.Logger) zerolog.Logger {
	return log.Sample(&zerolog.BurstSampler{Burst: 10, Period: time.Minute})
}
