package bus

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/wire"
)

// Role is who connects. It decides the subjects of answers, so that a server
// can let each role receive its own only.
type Role string

// The roles. Answers come to _INBOX_F, _INBOX_M, _INBOX_S and _INBOX_O, each
// followed by the ID of the Bus.
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

// inboxRoot begins every subject that answers go to, ours and other clients'.
// Answers go nowhere else: a requester that names another subject would have us
// publish there with our rights.
const inboxRoot = "_INBOX"

// Options is who connects, and to what.
type Options struct {
	Job    string
	Role   Role
	Name   string  // of the host or pod; people see it in the server's lists
	Server *Server // an embedded server; Config is not looked at then
	Log    zerolog.Logger

	dial *dialer // of tests; nil: the network's
}

const (
	reconnectWait  = 250 * time.Millisecond
	reconnectSpray = 500 * time.Millisecond // so that a thousand mappers do not come back at once
	pingInterval   = 5 * time.Second        // with pingsOut: a silent server is given up after 10 to 15 s
	pingsOut       = 2
	flusherTimeout = 3 * time.Second // a write that takes longer breaks the connection
)

// Connect connects to NATS. It returns after at most 1 s also when no server
// answers, and goes on trying for as long as the Bus is open. The error is always ErrSettings; that the
// server does not let us in shows as Closed.
func Connect(cfg Config, o Options) (*Bus, error) {
	t, id, err := connect(cfg, o, flusherTimeout)
	if err != nil {
		return nil, err
	}
	b := NewWithID(t, o.Job, id)
	b.routes.log = o.Log
	return b, nil
}

func connect(cfg Config, o Options, flusher time.Duration) (*natsTransport, string, error) {
	if err := chunk.CheckJob(o.Job); err != nil {
		return nil, "", fmt.Errorf("JOB: %w: %w", ErrSettings, err)
	}
	id := newID()
	prefix, err := o.Role.inbox(id)
	if err != nil {
		return nil, "", err
	}
	var options []nats.Option
	url, shown := cfg.URL, redact(cfg.URL)
	if o.Server != nil {
		url, shown = nats.DefaultURL, "in this process"
		options = append(options, nats.InProcessServer(o.Server.server))
		if o.Server.token != "" {
			options = append(options, nats.Token(o.Server.token))
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
	t.greet = o.Server == nil && cfg.Cert == "" // a server may know a client by its certificate alone
	options = append(options,
		nats.Name(wire.Clip(strings.TrimSpace("chunkline-"+string(o.Role)+" "+o.Name), wire.MaxLabel)),
		nats.Timeout(dialTimeout), nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1),
		nats.ReconnectWait(reconnectWait), nats.ReconnectJitter(reconnectSpray, reconnectSpray),
		nats.ReconnectBufSize(-1), // a publish while NATS is away must fail
		nats.PingInterval(pingInterval), nats.MaxPingsOutstanding(pingsOut), nats.FlusherTimeout(flusher),
		nats.CustomInboxPrefix(prefix), nats.PermissionErrOnSubscribe(true),
		nats.SkipHostLookup(), nats.SetCustomDialer(t.dialer(o.dial)), // which looks names up, with an end
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
	patience := time.NewTimer(connectPatience)
	defer patience.Stop()
	select {
	case err := <-first:
		if err != nil { // with RetryOnFailedConnect only settings can be wrong
			t.Close()
			return nil, "", fmt.Errorf("NATS_URL=%q: %w: %s", shown, ErrSettings, safe(err))
		}
	case <-patience.C: // the handlers will tell
	}
	return t, id, nil
}

// dialer makes what connects for as long as the transport is open.
func (t *natsTransport) dialer(of *dialer) *dialer {
	d := &dialer{lookup: net.DefaultResolver.LookupHost, dial: new(net.Dialer).DialContext}
	if of != nil {
		d.lookup, d.dial = of.lookup, of.dial
	}
	t.dials = d
	d.ctx, t.endDial = context.WithCancel(context.Background())
	return d
}

// safe returns what may be shown of an error of nats.go: those that quote a
// URL may quote a password.
func safe(err error) string {
	if strings.ContainsAny(err.Error(), "@/") {
		return "not understood"
	}
	return err.Error()
}

// denied turns an error of nats.go into ours if the server denies something.
func denied(err error) error {
	for _, auth := range []error{
		nats.ErrAuthorization, nats.ErrAuthExpired, nats.ErrAuthRevoked, nats.ErrAccountAuthExpired,
	} {
		if errors.Is(err, auth) {
			return fmt.Errorf("%w: %w: check NATS_USER and NATS_PASSWORD, NATS_TOKEN, NATS_CREDS or NATS_NKEY", ErrDenied, err)
		}
	}
	if errors.Is(err, nats.ErrPermissionViolation) {
		return fmt.Errorf("%w: %w: the server's configuration must allow this role more", ErrDenied, err)
	}
	return nil
}
