package bus

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
)

// link is the state of a connection as its handlers tell it. Asking for it
// never waits for the connection, which may be stuck in a write.
type link struct {
	log  zerolog.Logger
	url  string // redacted
	live atomic.Bool

	mu     sync.Mutex
	online chan struct{} // guarded by mu; closed while the connection is up
	gone   chan struct{} // guarded by mu; closed while it is not
	since  time.Time     // guarded by mu; when it went away
	away   bool          // guarded by mu; and was said to be
	err    error         // guarded by mu; why it is closed
	closed chan struct{}
}

func newLink(log zerolog.Logger, url string) *link {
	l := &link{
		log: log, url: url, online: make(chan struct{}), gone: make(chan struct{}), since: time.Now(), closed: make(chan struct{}),
	}
	close(l.gone)
	return l
}

// up notes that the connection is there, unless it is closed already: it may come up while
// its owner closes it. It says so once.
func (l *link) up() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil || l.live.Swap(true) {
		return
	}
	close(l.online)
	l.gone = make(chan struct{})
	if l.away {
		l.log.Info().Str("url", l.url).Msgf("NATS is back after %s", time.Since(l.since).Round(time.Millisecond))
	} else {
		l.log.Debug().Str("url", l.url).Msg("connected to NATS")
	}
	l.away = false
}

// down notes that the connection is not there. It says so once, however often
// connecting fails.
func (l *link) down(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.drop()
	if !l.away && l.err == nil {
		l.away = true
		l.log.Warn().Err(err).Str("url", l.url).Msg("NATS is away, trying to connect")
	}
}

// shut notes that the connection is closed for good. The first reason counts.
func (l *link) shut(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return
	}
	l.err = err
	l.drop()
	close(l.closed)
}

// drop notes that the connection is not there, if it was. The caller holds mu.
func (l *link) drop() {
	if l.live.Swap(false) {
		l.online = make(chan struct{})
		close(l.gone)
		l.since = time.Now()
	}
}

// lost is closed when the connection breaks, or is broken.
func (l *link) lost() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.gone
}

func (l *link) reason() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// usable is nil while the connection is up.
func (l *link) usable() error {
	if l.live.Load() {
		return nil
	}
	if err := l.reason(); err != nil {
		return err
	}
	return ErrOffline
}

func (l *link) wait(ctx context.Context) error {
	l.mu.Lock()
	online := l.online
	l.mu.Unlock()
	select {
	case <-online:
		return nil
	case <-l.closed:
		return l.reason()
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrOffline, ctx.Err())
	}
}
