package bus

import (
	"context"
	crand "crypto/rand"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/wire"
)

// A Role is a kind of client. Each role has its own subjects for answers, so that the server's permissions can keep the
// roles from reading each other's answers.
type Role string

// The roles. Their answers arrive at _INBOX_F, _INBOX_M, _INBOX_S and _INBOX_O, each followed by the ID of the Bus.
const (
	RoleFetcher  Role = "fetcher"
	RoleMapper   Role = "mapper"
	RoleSaver    Role = "saver"
	RoleOperator Role = "operator"
)

func (r Role) inbox(id string) (string, error) {
	switch r {
	case RoleFetcher, RoleMapper, RoleSaver, RoleOperator:
		return inboxRoot + "_" + strings.ToUpper(string(r[:1])) + "." + id, nil
	}
	return "", fmt.Errorf("role %q: %w: no such role", r, ErrSettings)
}

// inboxRoot is the beginning of every reply subject, ours and those of other clients. We reply to no other subject: a
// requester could use our permissions to publish there.
const inboxRoot = "_INBOX"

// A LocalServer is a NATS server in this process.
type LocalServer interface {
	InProcessConn() (net.Conn, error)
	Token() string // that clients need; empty: none
}

// Options are the options of Connect that are not settings.
type Options struct {
	Job    string
	Role   Role
	Name   string      // of the host or pod; the server shows it in its list of connections
	Server LocalServer // instead of the one in Config; nil: none
	Log    zerolog.Logger

	dial  *dialer // for tests; nil: the network
	waits *waits  // for tests; nil: usualWaits
}

const (
	reconnectWait  = 250 * time.Millisecond
	reconnectSpray = 500 * time.Millisecond // so that a thousand mappers do not reconnect at once
	pingInterval   = 5 * time.Second        // with pingsOut: the connection to a silent server is dropped after 10 to 15 s
	pingsOut       = 2
	flusherTimeout = 3 * time.Second // a write that takes longer breaks the connection
)

// waits are the timeouts of a connection.
type waits struct {
	first   time.Duration // of Connect, for the first attempt to connect
	dial    time.Duration // of an attempt, until the server's greeting has arrived
	ping    time.Duration // between two pings
	write   time.Duration // of a write; a slower one breaks the connection
	publish time.Duration // of Publish, for the writes that are queued before its own
}

var usualWaits = waits{first: connectPatience, dial: dialTimeout, ping: pingInterval, write: flusherTimeout, publish: flusherTimeout}

// Connect connects to NATS. If no server answers, Connect returns after 1 s, and the Bus keeps trying while it is open.
// An error is always ErrSettings. If the server rejects the credentials, the Bus is Closed.
func Connect(cfg Config, o Options) (*Bus, error) {
	t, id, err := connect(cfg, o)
	if err != nil {
		return nil, err
	}
	b := NewWithID(t, o.Job, id)
	b.routes.log = o.Log
	return b, nil
}

func connect(cfg Config, o Options) (*natsTransport, string, error) {
	if err := chunk.CheckJob(o.Job); err != nil {
		return nil, "", fmt.Errorf("JOB: %w: %w", ErrSettings, err)
	}
	id := crand.Text()
	prefix, err := o.Role.inbox(id)
	if err != nil {
		return nil, "", err
	}
	var options []nats.Option
	url, shown := cfg.URL, redact(cfg.URL)
	if o.Server != nil {
		url, shown = nats.DefaultURL, "in this process"
		options = append(options, nats.InProcessServer(o.Server))
		if token := o.Server.Token(); token != "" {
			options = append(options, nats.Token(token))
		}
	} else {
		if err := cfg.checkURL(); err != nil {
			return nil, "", err
		}
		if options, err = cfg.options(); err != nil {
			return nil, "", err
		}
	}
	t := newNATSTransport(o.Log, shown, prefix)
	if o.waits != nil {
		t.waits = *o.waits
	}
	t.checksOpen = o.Server == nil && cfg.Cert == "" // with a certificate, a server need not ask for credentials
	options = append(options,
		nats.Name(wire.Clip(strings.TrimSpace("chunkline-"+string(o.Role)+" "+o.Name), wire.MaxLabel)),
		nats.Timeout(t.waits.dial), nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1),
		nats.ReconnectWait(reconnectWait), nats.ReconnectJitter(reconnectSpray, reconnectSpray),
		nats.ReconnectBufSize(-1), // without a connection, a publish must fail
		nats.PingInterval(t.waits.ping), nats.MaxPingsOutstanding(pingsOut), nats.FlusherTimeout(t.waits.write),
		nats.CustomInboxPrefix(prefix), nats.PermissionErrOnSubscribe(true),
		nats.SkipHostLookup(), nats.SetCustomDialer(t.dialer(o.dial)), // the dialer looks up names, with a timeout
		nats.ConnectHandler(t.connected), nats.ReconnectHandler(t.connected),
		nats.DisconnectErrHandler(t.disconnected), nats.ReconnectErrHandler(t.disconnected),
		nats.ClosedHandler(t.closed), nats.ErrorHandler(t.asyncError),
		nats.LameDuckModeHandler(func(*nats.Conn) { o.Log.Info().Msg("the NATS server is about to stop") }),
	)
	first := make(chan error, 1)
	t.owned.run(func() {
		t.keep(func() (*nats.Conn, error) { return nats.Connect(url, options...) }, first)
	})
	t.owned.run(t.measure)
	patience := time.NewTimer(t.waits.first)
	defer patience.Stop()
	select {
	case err := <-first:
		if err != nil { // with RetryOnFailedConnect, only wrong settings are an error
			t.Close()
			return nil, "", fmt.Errorf("NATS_URL=%q: %w: %s", shown, ErrSettings, safe(err))
		}
	case <-patience.C: // the handlers report the outcome
	}
	return t, id, nil
}

// dialer makes the dialer, which works for as long as the transport is open.
func (t *natsTransport) dialer(of *dialer) *dialer {
	d := &dialer{lookup: net.DefaultResolver.LookupHost, dial: new(net.Dialer).DialContext, timeout: t.waits.dial}
	if of != nil {
		d.lookup, d.dial = of.lookup, of.dial
	}
	t.dials = d
	d.ctx, t.endDial = context.WithCancel(context.Background())
	return d
}

// safe returns the text of an error of nats.go, unless it may quote a URL, and with it a password.
func safe(err error) string {
	if strings.ContainsAny(err.Error(), "@/") {
		return "not understood"
	}
	return err.Error()
}

// denied returns ErrDenied if err says that the server denies something, else nil.
func denied(err error) error {
	for _, auth := range []error{
		nats.ErrAuthorization, nats.ErrAuthExpired, nats.ErrAuthRevoked, nats.ErrAccountAuthExpired,
	} {
		if errors.Is(err, auth) {
			return fmt.Errorf("%w: %w: check NATS_USER and NATS_PASSWORD, NATS_TOKEN, NATS_CREDS or NATS_NKEY", ErrDenied, err)
		}
	}
	if errors.Is(err, nats.ErrPermissionViolation) {
		return fmt.Errorf("%w: %w: the server's configuration must give this role that permission", ErrDenied, err)
	}
	return nil
}

const (
	// connectPatience is how long Connect waits for the first attempt to connect.
	connectPatience = time.Second

	// If nats.go has closed the connection, we make another one after reconnectWait. The wait doubles each time, up to
	// maxRenewWait, and is reset after a connection that was up for the time "lasting".
	maxRenewWait = 10 * time.Second
	lasting      = 30 * time.Second
)

// keep connects, and connects again whenever nats.go has closed the connection for a temporary reason, until the
// transport is closed. It sends the result of the first attempt to first; an error is a wrong setting.
//
// nats.go reconnects by itself after most losses. It closes the connection after an error of the server (-ERR) that it
// does not know: for example when a message exceeds a max_payload that was lowered, or when the server shuts down or
// sheds load.
func (t *natsTransport) keep(open func() (*nats.Conn, error), first chan<- error) {
	wait := reconnectWait
	for attempt := 0; t.link.reason() == nil; attempt++ {
		began := time.Now()
		nc, err := open()
		switch {
		case err != nil && attempt == 0:
			first <- err
			return
		case err != nil:
			t.link.down(errors.New(safe(err)))
		default:
			t.nc.Store(nc)
			if t.link.reason() != nil { // the transport was closed meanwhile
				nc.Close()
				return
			}
			if attempt == 0 {
				if nc.Status() == nats.CONNECTED {
					<-t.reported // until the handler has run
				}
				first <- nil
			}
			select {
			case <-t.broken:
			case <-t.link.closed:
				return
			}
		}
		if time.Since(began) >= lasting {
			wait = reconnectWait
		}
		pause := time.NewTimer(wait + rand.N(reconnectSpray))
		select {
		case <-pause.C:
		case <-t.link.closed:
			pause.Stop()
			return
		}
		wait = min(2*wait, maxRenewWait)
	}
}

func (t *natsTransport) markReported() { t.reportedOnce.Do(func() { close(t.reported) }) }

// closeForGood closes the connection for good, without waiting.
func (t *natsTransport) closeForGood(why error) {
	t.link.shut(fmt.Errorf("%w: %w", ErrClosed, why))
	t.inbox.fail(t.link.reason())
}

// connected is called when a connection has been made. It subscribes before it reports the connection, so that requests
// which waited for it get answers.
func (t *natsTransport) connected(nc *nats.Conn) {
	if limit := nc.MaxPayload(); limit > 0 {
		t.maxPayload.Store(limit)
	}
	if t.checksOpen && !nc.AuthRequired() {
		t.openOnce.Do(func() { t.logOpen(nc.ConnectedAddr()) })
	}
	t.serving.Lock()
	defer t.serving.Unlock()
	t.nc.Store(nc)
	if err := t.resume(nc); err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
		t.closeForGood(err)
		nc.Close()
	}
	if t.wasUp.Swap(true) {
		t.reconnects.Add(1)
	}
	t.link.up()
	t.markReported()
}

// resume makes the subscriptions that nc does not have yet. The caller holds serving.
func (t *natsTransport) resume(nc *nats.Conn) error {
	if t.answering != nc {
		sub, err := nc.Subscribe(t.inbox.prefix+"*", t.answered)
		if err == nil {
			err = sub.SetPendingLimits(pendingMessages, pendingPartsBytes)
		}
		if err != nil {
			return fmt.Errorf("subscribe to answers: %w", err)
		}
		t.answering = nc
	}
	for l := range t.listening {
		if l.nc != nc {
			if err := t.begin(l, nc); err != nil {
				return err
			}
		}
	}
	return nil
}

// disconnected is called when the connection breaks, and when an attempt to connect fails. Pending requests end,
// because their answers no longer find a subscription.
func (t *natsTransport) disconnected(_ *nats.Conn, err error) {
	t.link.down(t.dials.explain(err))
	t.inbox.fail(ErrOffline)
	t.markReported()
}

// closed is called when nats.go has closed a connection, by itself or on request. The transport closes for good only if
// the server denies something.
func (t *natsTransport) closed(nc *nats.Conn) {
	err := nc.LastError()
	if why := denied(err); why != nil {
		t.closeForGood(why)
	}
	if err == nil {
		err = errors.New("no reason was given")
	}
	t.disconnected(nc, err)
	select {
	case t.broken <- struct{}{}:
	default:
	}
}

const (
	dialTimeout   = 2 * time.Second
	lookupTimeout = 5 * time.Second // nats.go itself has none, and a resolver may take 40 s
)

// A dialer connects for nats.go, which holds a lock while it does. So each step has a timeout and ends with ctx.
type dialer struct {
	ctx    context.Context //nolint:containedctx // the dialer interface of nats.go has no context
	lookup func(ctx context.Context, host string) ([]string, error)
	dial   func(ctx context.Context, network, address string) (net.Conn, error)
	failed atomic.Pointer[error] // error of the last attempt

	timeout time.Duration // of an attempt, over all addresses of a name
}

// Dial implements nats.CustomDialer.
func (d *dialer) Dial(network, address string) (net.Conn, error) {
	conn, err := d.connect(network, address)
	if err != nil {
		d.failed.Store(&err)
		return nil, err
	}
	d.failed.Store(nil)
	return conn, nil
}

// explain returns the error of the last attempt to connect instead of nats.go's "no servers", which it reports when
// every attempt has failed.
func (d *dialer) explain(err error) error {
	if why := d.failed.Load(); why != nil && errors.Is(err, nats.ErrNoServers) {
		return fmt.Errorf("%w: is a NATS server running there?", *why)
	}
	return err
}

// connect tries all addresses of a name in random order, so that clients spread over the servers.
func (d *dialer) connect(network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", address, err)
	}
	hosts := []string{host}
	if net.ParseIP(host) == nil {
		ctx, cancel := context.WithTimeout(d.ctx, lookupTimeout)
		defer cancel()
		if hosts, err = d.lookup(ctx, host); err != nil {
			return nil, fmt.Errorf("look up %s: %w", host, err)
		}
		rand.Shuffle(len(hosts), func(i, j int) { hosts[i], hosts[j] = hosts[j], hosts[i] })
	}
	for _, host := range hosts {
		var conn net.Conn
		if conn, err = d.dialOne(network, net.JoinHostPort(host, port), d.timeout/time.Duration(len(hosts))); err == nil {
			return conn, nil
		}
	}
	return nil, err
}

func (d *dialer) dialOne(network, address string, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(d.ctx, timeout)
	defer cancel()
	return d.dial(ctx, network, address)
}
