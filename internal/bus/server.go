package bus

import (
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
)

// ServerOptions is how to run an embedded server.
type ServerOptions struct {
	// Listen is the host:port to listen at; port 0 takes any. Empty: this
	// process only.
	Listen string
	// Token is what clients must know, those of this process too. Empty:
	// whoever reaches the port is let in.
	Token string
	Log   zerolog.Logger // gets warnings and errors
}

// A Server is a NATS server in this process. It keeps nothing: no JetStream.
type Server struct {
	server *server.Server
	listen bool
	token  string
}

const (
	startTimeout  = 10 * time.Second
	writeDeadline = 5 * time.Second
	maxPending    = 256 << 20 // bytes on their way to one client; NATS's own 64 MiB is 64 results of 1 MiB
)

// StartServer starts an embedded server. The error is ErrSettings if Listen is
// no host:port, and tells what is wrong if it cannot listen there.
func StartServer(o ServerOptions) (*Server, error) {
	options := &server.Options{
		ServerName: "chunkline-" + newID()[:8], NoSigs: true, DontListen: o.Listen == "",
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
	// Strangers who are not let in make it complain as often as they like.
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

// listenAddress checks an address, and that it is free: the server itself
// would only log that it is not.
func listenAddress(address string) (host string, port int, err error) {
	host, portText, err := net.SplitHostPort(address)
	if err == nil {
		port, err = strconv.Atoi(portText)
	}
	if err != nil || port < 0 || port > 65535 {
		return "", 0, fmt.Errorf("listen on %q: %w: want host:port, as in 0.0.0.0:4222", address, ErrSettings)
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

// URL is where clients elsewhere connect; empty if they cannot.
func (s *Server) URL() string {
	if !s.listen {
		return ""
	}
	return s.server.ClientURL()
}

// Shutdown ends the server and waits until it has. It may be called again.
func (s *Server) Shutdown() {
	s.server.Shutdown()
	s.server.WaitForShutdown()
}

// serverLog passes on what the server has to complain about.
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

func (l *serverLog) say(level zerolog.Level, format string, args ...any) {
	l.log.WithLevel(level).Msg("embedded nats server: " + strings.TrimSpace(fmt.Sprintf(format, args...)))
}

// Fatalf notes why the server cannot start; it does not end the process.
func (l *serverLog) Fatalf(format string, args ...any) {
	l.mu.Lock()
	l.fatal = fmt.Sprintf(format, args...)
	l.mu.Unlock()
	l.say(zerolog.ErrorLevel, format, args...)
}

func (l *serverLog) Errorf(format string, args ...any) { l.say(zerolog.ErrorLevel, format, args...) }
func (l *serverLog) Warnf(format string, args ...any)  { l.say(zerolog.WarnLevel, format, args...) }
func (l *serverLog) Noticef(string, ...any)            {}
func (l *serverLog) Debugf(string, ...any)             {}
func (l *serverLog) Tracef(string, ...any)             {}
