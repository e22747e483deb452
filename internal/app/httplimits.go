package app

import (
	"net"
	"net/http"
	"sync"
	"time"
)

// limits is what a server gives to whoever can reach its port. The role that it answers
// for comes first: it needs its memory and its descriptors.
type limits struct {
	connections int           // more, and the oldest one is closed
	answers     int           // requests in work; more are told to come again. Probes and streams are not counted
	read, write time.Duration // for a whole request, and for its answer
	header      int           // bytes
}

const (
	mostConnections  = 256
	leastConnections = 8
	descriptorsPart  = 4 // the part of the descriptors that may be connections of the server
)

func usualLimits() limits {
	return limits{connections: connectionsOf(descriptors()), answers: 64, read: 10 * time.Second, write: 20 * time.Second, header: 16 << 10}
}

// connectionsOf is how many connections a server takes of so many descriptors.
func connectionsOf(descriptors uint64) int {
	return int(max(leastConnections, min(mostConnections, descriptors/descriptorsPart)))
}

// A crowded listener has a bounded number of connections. The oldest gives way to a new
// one, so that clients that do nothing keep no probe out.
type crowded struct {
	net.Listener
	most int

	mu   sync.Mutex
	open []*guest // guarded by mu; the oldest first
}

type guest struct {
	net.Conn
	of   *crowded
	once sync.Once
}

// Accept implements net.Listener.
func (c *crowded) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err != nil {
		return nil, err //nolint:wrapcheck // http.Server looks for net.Error
	}
	g := &guest{Conn: conn, of: c}
	c.mu.Lock()
	c.open = append(c.open, g)
	var oldest *guest
	if len(c.open) > c.most {
		oldest = c.open[0]
	}
	c.mu.Unlock()
	if oldest != nil {
		_ = oldest.Close() // it is not wanted any more
	}
	return g, nil
}

// Close implements net.Conn.
func (g *guest) Close() error {
	g.once.Do(func() {
		g.of.mu.Lock()
		defer g.of.mu.Unlock()
		for i, other := range g.of.open {
			if other == g {
				g.of.open = append(g.of.open[:i], g.of.open[i+1:]...)
				return
			}
		}
	})
	return g.Conn.Close() //nolint:wrapcheck // a net.Conn's own
}

// A Stream is a handler that answers without end. It sets its own deadlines and bounds
// how many it serves.
type Stream struct{ http.Handler }

// bounded answers at most so many requests at a time with h.
func bounded(slots chan struct{}, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case slots <- struct{}{}:
			defer func() { <-slots }()
			h.ServeHTTP(w, r)
		default:
			w.Header().Set("Retry-After", "1")
			WriteJSON(w, http.StatusServiceUnavailable, map[string]string{"error": "too many requests at once: ask again"})
		}
	})
}
