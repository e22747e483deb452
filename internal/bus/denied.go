package bus

import (
	"strings"
	"sync"
)

// minor says whether a role can work without what it was denied: to answer
// one requester, who chose the subject, or to be found by nats micro, which
// answers at any subject. What it publishes of its own accord it needs.
func (t *natsTransport) minor(err error) bool {
	if strings.Contains(err.Error(), `Subscription to "$SRV`) {
		return true
	}
	_, subject, publish := strings.Cut(err.Error(), `Publish to "`)
	subject, _, _ = strings.Cut(subject, `"`)
	return publish && !t.own.has(verbOf(subject))
}

// verbOf is a subject of a job without what follows the verb.
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

// spoken is the verbs that this connection has published by itself. A role has a few.
type spoken struct {
	mu    sync.Mutex
	verbs map[string]struct{} // guarded by mu
}

func (s *spoken) note(verb string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.verbs[verb]; !known {
		s.verbs[strings.Clone(verb)] = struct{}{}
	}
}

func (s *spoken) has(verb string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, has := s.verbs[verb]
	return has
}
