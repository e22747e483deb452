package app

import (
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// hosts are the host names that requests may use. They protect against DNS rebinding: an attacker's web page lets its
// own name resolve to this machine, and then reads this server's answers in the browser of a user who can reach it.
// Such requests have the attacker's host name.
type hosts struct {
	all   bool
	names map[string]bool
}

// hostsOf allows the names in list. If list is empty, it allows all names, unless the server listens on a loopback
// address. IP addresses are always allowed, because they cannot be rebound.
func hostsOf(addr, list string) hosts {
	h := hosts{names: map[string]bool{}}
	for name := range strings.SplitSeq(list, ",") {
		if name = withoutPort(strings.TrimSpace(name)); name != "" {
			h.names[name] = true
		}
	}
	own := withoutPort(addr)
	h.all = len(h.names) == 0 && !isLoopback(own)
	h.names[own] = true
	return h
}

// withoutPort returns a host without its port, in lower case.
func withoutPort(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.TrimSuffix(strings.ToLower(strings.Trim(host, "[]")), ".")
}

// isLoopback reports whether a host is this machine's loopback address.
func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback() || host == "localhost" || strings.HasSuffix(host, ".localhost")
}

func (h hosts) allow(host string) bool {
	name := withoutPort(host)
	return h.all || name == "" || isLoopback(name) || net.ParseIP(name) != nil || h.names[name]
}

// only refuses requests for other names.
func (h hosts) only(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !h.allow(r.Host) {
			WriteJSON(w, http.StatusMisdirectedRequest, map[string]string{
				"error": "this host name is not allowed: use the server's IP address, or add the name to HTTP_HOSTS",
			})
			return
		}
		next.ServeHTTP(w, r)
	})
}

// FromHere reports whether a request comes from this machine, or through a tunnel that ends here, such as kubectl
// port-forward. It returns false for a foreign host name, because a browser on this machine may send such a request for
// an attacker's page.
func FromHere(r *http.Request) bool {
	name := withoutPort(r.Host)
	return isLoopback(withoutPort(r.RemoteAddr)) && (isLoopback(name) || net.ParseIP(name) != nil)
}

// limits bound the resources that any client of the port can use. The role itself needs its memory and its descriptors.
type limits struct {
	connections int           // if there are more, the oldest is closed
	answers     int           // requests handled at a time; others get 503. Probes and streams are not counted
	read, write time.Duration // for the whole request, and for the answer
	header      int           // bytes
}

const (
	mostConnections  = 256
	leastConnections = 8
	descriptorsShare = 4 // a quarter of the descriptors may be connections of the server
)

func defaultLimits() limits {
	return limits{connections: connectionsOf(descriptors()), answers: 64, read: 10 * time.Second, write: 20 * time.Second, header: 16 << 10}
}

// connectionsOf returns how many connections a server accepts with this number of descriptors.
func connectionsOf(descriptors uint64) int {
	return int(max(leastConnections, min(mostConnections, descriptors/descriptorsShare)))
}

// A boundedListener has a limited number of connections. A new one replaces the oldest, so that idle clients cannot
// keep a probe out.
type boundedListener struct {
	net.Listener
	most int

	mu   sync.Mutex
	open []*boundedConn // guarded by mu; oldest first
}

type boundedConn struct {
	net.Conn
	of   *boundedListener
	once sync.Once
}

// Accept implements net.Listener.
func (c *boundedListener) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err != nil {
		return nil, err //nolint:wrapcheck // http.Server checks for a net.Error
	}
	g := &boundedConn{Conn: conn, of: c}
	c.mu.Lock()
	c.open = append(c.open, g)
	var oldest *boundedConn
	if len(c.open) > c.most {
		oldest = c.open[0]
	}
	c.mu.Unlock()
	if oldest != nil {
		_ = oldest.Close()
	}
	return g, nil
}

// Close implements net.Conn.
func (g *boundedConn) Close() error {
	g.once.Do(func() {
		g.of.mu.Lock()
		defer g.of.mu.Unlock()
		g.of.open = slices.DeleteFunc(g.of.open, func(other *boundedConn) bool { return other == g })
	})
	return g.Conn.Close() //nolint:wrapcheck // the error of the wrapped net.Conn
}

// A Stream is a handler whose answer does not end. It sets its own deadlines and limits its number of clients.
type Stream struct{ http.Handler }

// bounded limits how many requests h handles at a time.
func bounded(slots chan struct{}, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case slots <- struct{}{}:
			defer func() { <-slots }()
			h.ServeHTTP(w, r)
		default:
			w.Header().Set("Retry-After", "1")
			WriteJSON(w, http.StatusServiceUnavailable, map[string]string{"error": "too many requests at once: try again"})
		}
	})
}

// MinToken is the smallest length of a token that clients of HTTP_ADDR send.
const MinToken = 8

// IsToken reports whether a token can be sent in a header and is long enough.
func IsToken(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return len(s) >= MinToken
}
