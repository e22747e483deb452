package mapper

import (
	"context"
	"errors"
	"sync"
	"time"
)

// patience is how long a role may be away before it is worth a line in the
// log: roles that start together wait for each other for a moment.
const patience = time.Second

// peers remembers which role did not answer, so that its absence is logged
// once and its return once, however many workers notice.
type peers struct {
	mu   sync.Mutex
	away map[string]*absence // guarded by mu
}

type absence struct {
	since time.Time
	said  bool
}

// hear notes how a request to a role ended.
func (m *Mapper) hear(role string, err error) {
	if errors.Is(err, context.Canceled) { // we gave up, which says nothing of the role
		return
	}
	m.peers.mu.Lock()
	defer m.peers.mu.Unlock()
	gone := m.peers.away[role]
	switch {
	case err == nil && gone == nil:
	case err == nil:
		delete(m.peers.away, role)
		if gone.said {
			m.log.Info().Stringer("after", time.Since(gone.since).Round(time.Millisecond)).Msgf("the %s answers again", role)
		}
	case gone == nil:
		if m.peers.away == nil {
			m.peers.away = map[string]*absence{}
		}
		m.peers.away[role] = &absence{since: time.Now()}
	case !gone.said && time.Since(gone.since) >= patience:
		gone.said = true
		m.log.Warn().Err(err).Msgf("no answer from the %s, trying on", role)
	}
}

// missing names a role that has not answered for longer than patience.
func (p *peers) missing() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	for role, gone := range p.away {
		if gone.said {
			return role
		}
	}
	return ""
}
