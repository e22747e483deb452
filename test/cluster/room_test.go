//go:build cluster

package cluster

import (
	"cmp"
	"slices"
	"sync"
	"testing"
	"time"
)

// node is what the pods of tests may request of a node with two cores, in
// millicores; add-ons have the rest.
const node = 1750

// room admits tests to the node. A pod that finds no room stays Pending until a
// rollout's deadline has passed, so a test begins only when the requests of all
// its pods fit beside those of the tests that run.
var room = struct {
	sync.Mutex
	free    int      // guarded by the mutex
	waiting []demand // guarded by the mutex; the longest first
}{free: node}

// demand is a test that waits for room.
type demand struct {
	millicores int
	seconds    int
	admitted   chan struct{} // closed when it may begin
}

// parallel runs the rest of the test beside others, when there is room for its
// pods. Millicores is the most that they request at a time, surges of rollouts
// included; seconds is about how long the test takes, since the longest begins
// first. All tests have asked before the first one is admitted, because Go
// lets parallel tests go on when the serial parts of all tests have ended.
func parallel(t *testing.T, millicores, seconds int) {
	t.Helper()
	d := demand{millicores, seconds, make(chan struct{})}
	room.Lock()
	room.waiting = append(room.waiting, d)
	slices.SortStableFunc(room.waiting, func(a, b demand) int { return cmp.Compare(b.seconds, a.seconds) })
	room.Unlock()
	t.Parallel()
	admit(0)
	<-d.admitted
	began := time.Now()
	t.Cleanup(func() {
		t.Logf("took %.0f s", time.Since(began).Seconds())
		admit(millicores)
	})
}

// admit takes back room, and lets those begin that fit.
func admit(back int) {
	room.Lock()
	defer room.Unlock()
	room.free += back
	room.waiting = slices.DeleteFunc(room.waiting, func(d demand) bool {
		if d.millicores > room.free {
			return false
		}
		room.free -= d.millicores
		close(d.admitted)
		return true
	})
}
