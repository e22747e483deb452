// Package natsserver runs a NATS server in this process, for chunkline run and for tests. It is a package of its own so
// that programs that only connect to a server do not contain one.
package natsserver

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/rs/zerolog"

	"github.com/chunkline/chunkline/internal/bus"
)

// Options are the options of a server.
type Options struct {
	// Listen is the host:port to listen on; port 0: any free one. Empty: only this process can connect.
	Listen string
	// Token is the token that all clients need, including those of this process. Empty: any client that reaches the
	// port can connect.
	Token string
	Log   zerolog.Logger // gets warnings and errors
}

// A Server is a NATS server in this process, without JetStream: it stores nothing.
type Server struct {
	server *server.Server
	listen bool
	token  string
}

const (
	startTimeout  = time.Minute     // a busy machine may need some of it
	pingInterval  = 5 * time.Second // with pingsOut: a silent client is dropped after 10 to 15 s
	pingsOut      = 2
	writeDeadline = 5 * time.Second
	maxPending    = 256 << 20 // bytes that wait for one client to read them; NATS's default, 64 MiB, is 64 results of 1 MiB
)

// Start starts a server. If Listen is not a host:port, the error is bus.ErrSettings. If the port is taken, the error
// says so.
func Start(o Options) (*Server, error) {
	options := &server.Options{
		ServerName: "chunkline-" + rand.Text()[:8], NoSigs: true, DontListen: o.Listen == "",
		PingInterval: pingInterval, MaxPingsOut: pingsOut, WriteDeadline: writeDeadline,
		MaxPending: maxPending, Authorization: o.Token,
	}
	if o.Listen != "" {
		var err error
		if options.Host, options.Port, err = listenAddress(o.Listen); err != nil {
			return nil, err
		}
	}
	s, err := server.NewServer(options)
	if err != nil {
		return nil, fmt.Errorf("start embedded nats server: %w", err)
	}
	// Any client can cause log lines by trying to connect.
	log := &serverLog{log: o.Log.Sample(&zerolog.BurstSampler{Burst: 10, Period: time.Minute})}
	s.SetLoggerV2(log, false, false, false)
	s.Start()
	if !s.ReadyForConnections(startTimeout) {
		s.Shutdown()
		s.WaitForShutdown()
		return nil, fmt.Errorf("start embedded nats server: %w", log.reason())
	}
	return &Server{server: s, listen: o.Listen != "", token: o.Token}, nil
}

// listenAddress checks that an address is valid and free. The server itself would only log that it is not.
func listenAddress(address string) (host string, port int, err error) {
	host, portText, err := net.SplitHostPort(address)
	if err == nil {
		port, err = strconv.Atoi(portText)
	}
	if err != nil || port < 0 || port > 65535 {
		return "", 0, fmt.Errorf("listen on %q: %w: want host:port, as in 0.0.0.0:4222", address, bus.ErrSettings)
	}
	probe, err := net.Listen("tcp", address)
	if err != nil {
		reason := err
		if number := syscall.Errno(0); errors.As(err, &number) {
			reason = number
		}
		return "", 0, fmt.Errorf("listen on %s: %w", address, reason)
	}
	if err := probe.Close(); err != nil {
		return "", 0, fmt.Errorf("listen on %s: %w", address, err)
	}
	if port == 0 {
		port = server.RANDOM_PORT
	}
	if host == "" {
		host = server.DEFAULT_HOST
	}
	return host, port, nil
}

// URL is the address for clients in other processes; empty: they cannot connect.
func (s *Server) URL() string {
	if !s.listen {
		return ""
	}
	return s.server.ClientURL()
}

// InProcessConn returns a connection that needs no port, for a client in this process.
func (s *Server) InProcessConn() (net.Conn, error) {
	return s.server.InProcessConn() //nolint:wrapcheck // it is the client's connection
}

// Token returns the token that clients need; empty: none.
func (s *Server) Token() string { return s.token }

// Shutdown stops the server and waits until it has stopped. It may be called again.
func (s *Server) Shutdown() {
	s.server.Shutdown()
	s.server.WaitForShutdown()
}

// serverLog logs the server's warnings and errors.
type serverLog struct {
	log zerolog.Logger

	mu    sync.Mutex
	fatal string // guarded by mu
}

func (l *serverLog) reason() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fatal == "" {
		return fmt.Errorf("not ready within %s", startTimeout)
	}
	return errors.New(l.fatal)
}

func (l *serverLog) write(level zerolog.Level, format string, args ...any) {
	l.log.WithLevel(level).Msg("embedded nats server: " + strings.TrimSpace(fmt.Sprintf(format, args...)))
}

// Fatalf stores why the server cannot start. It does not end the process.
func (l *serverLog) Fatalf(format string, args ...any) {
	l.mu.Lock()
	l.fatal = fmt.Sprintf(format, args...)
	l.mu.Unlock()
	l.write(zerolog.ErrorLevel, format, args...)
}

func (l *serverLog) Errorf(format string, args ...any) { l.write(zerolog.ErrorLevel, format, args...) }
func (l *serverLog) Warnf(format string, args ...any)  { l.write(zerolog.WarnLevel, format, args...) }
func (l *serverLog) Noticef(string, ...any)            {}
func (l *serverLog) Debugf(string, ...any)             {}
func (l *serverLog) Tracef(string, ...any)             {}
