package bus

import "sync"

// A budget bounds bytes that are held. What is larger than the whole limit
// gets in alone.
type budget struct {
	limit int

	mu   sync.Mutex
	used int // guarded by mu
}

// take says whether there is room for n bytes, and takes it.
func (b *budget) take(n int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.used > 0 && n > b.limit-b.used {
		return false
	}
	b.used += n
	return true
}

func (b *budget) give(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used -= n
}
