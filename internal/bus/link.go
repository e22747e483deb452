package bus

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/chunkline/chunkline/internal/wire"
)

// link is the state of the connection, as its handlers report it. Reading the state never waits for the connection,
// which may hang in a write.
type link struct {
	log  zerolog.Logger
	url  string // redacted
	live atomic.Bool

	mu     sync.Mutex
	online chan struct{} // guarded by mu; closed while the connection is up
	gone   chan struct{} // guarded by mu; closed while it is not
	since  time.Time     // guarded by mu; since when it is not
	logged bool          // guarded by mu; the loss of the connection was logged
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

// up notes, and logs once, that the connection is up. It may come up while its owner closes it; then it stays closed.
func (l *link) up() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil || l.live.Swap(true) {
		return
	}
	close(l.online)
	l.gone = make(chan struct{})
	if l.logged {
		l.log.Info().Str("url", l.url).Msgf("connected to NATS again after %s", time.Since(l.since).Round(time.Millisecond))
	} else {
		l.log.Debug().Str("url", l.url).Msg("connected to NATS")
	}
	l.logged = false
}

// down notes that there is no connection, and logs it once, however many attempts to connect fail.
func (l *link) down(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.drop()
	if !l.logged && l.err == nil {
		l.logged = true
		l.log.Warn().Err(err).Str("url", l.url).Msg("no connection to NATS, trying to connect")
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

// drop marks the connection as down. The caller holds mu.
func (l *link) drop() {
	if l.live.Swap(false) {
		l.online = make(chan struct{})
		close(l.gone)
		l.since = time.Now()
	}
}

// lost returns a channel that is closed while there is no connection.
func (l *link) lost() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.gone
}

// reason returns why the connection is closed for good, and nil if it is not.
func (l *link) reason() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// usable returns nil while the connection is up, and otherwise ErrOffline or the reason why it is closed.
func (l *link) usable() error {
	if l.live.Load() {
		return nil
	}
	if err := l.reason(); err != nil {
		return err
	}
	return ErrOffline
}

// wait returns nil once the connection is up, or the reason why it will not be.
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

// roundTripInterval is the time between two measurements. Each is one ping; nats.go sends its own as often.
const roundTripInterval = 5 * time.Second

// measure measures the round trip to the server at intervals, until the connection is closed for good.
func (t *natsTransport) measure() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	tick := time.NewTicker(roundTripInterval)
	defer tick.Stop()
	for t.link.wait(ctx) == nil {
		t.measureOnce(ctx)
		select {
		case <-tick.C:
		case <-t.link.lost(): // measure again as soon as it is back
		case <-t.link.closed:
			return
		}
	}
}

func (t *natsTransport) measureOnce(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, flusherTimeout)
	defer cancel()
	begin := time.Now()
	if t.Flush(ctx) == nil {
		t.roundTrip.Store(int64(max(time.Since(begin), 1)))
	}
}

// logOpen logs that the server at address asks for no credentials. It is a warning, except on this machine's loopback,
// where that is usual.
func (t *natsTransport) logOpen(address string) {
	level := zerolog.WarnLevel
	if host, _, err := net.SplitHostPort(address); err == nil && IsLoopback(host) {
		level = zerolog.InfoLevel
	}
	t.log.WithLevel(level).Str("url", t.link.url).
		Msg("the NATS server asks for no credentials: any client that reaches it can take chunks, send results and cancel the job")
}

// IsLoopback reports whether a server that listens on host is reachable from this machine only. An empty host, or a
// name other than localhost, may stand for any address.
func IsLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// optional reports whether the role can work without a denied permission. It can do without permissions for the hello,
// which is only a hint, for discovery by `nats micro ls`, and for replies to a subject that a requester chose. It needs
// all others.
func (t *natsTransport) optional(err error) bool {
	if strings.Contains(err.Error(), `Subscription to "$SRV`) {
		return true
	}
	_, subject, _ := strings.Cut(err.Error(), ` to "`)
	subject, _, _ = strings.Cut(subject, `"`)
	if strings.HasSuffix(verbOf(subject), "."+wire.VerbHello) {
		return true
	}
	return strings.Contains(err.Error(), `Publish to "`) && !t.own.has(verbOf(subject))
}

// verbOf returns the beginning of a job's subject, up to and including its verb.
func verbOf(subject string) string {
	end := 0
	for range 3 {
		next := strings.IndexByte(subject[end:], '.')
		if next < 0 {
			return subject
		}
		end += next + 1
	}
	return subject[:end-1]
}

// publishedVerbs is the set of verbs to which this connection has published messages other than replies. Each role has
// only a few.
type publishedVerbs struct {
	mu    sync.Mutex
	verbs map[string]struct{} // guarded by mu
}

func (s *publishedVerbs) note(verb string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.verbs[verb]; !known {
		s.verbs[strings.Clone(verb)] = struct{}{}
	}
}

func (s *publishedVerbs) has(verb string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, has := s.verbs[verb]
	return has
}
