//go:build cluster

package cluster

import (
	"cmp"
	"slices"
	"sync"
	"testing"
	"time"
)

// node is what the tests that run may ask for together by deploy/, on a node with two cores, in millicores. Add-ons leave
// 1,750 free, and labs request half of what deploy/ does. With more, tests only slow each other down.
const node = 2600

// room admits tests to the node. A pod that does not fit stays Pending, possibly beyond
// a rollout's deadline, so a test begins only when the requests of all its pods fit
// beside those of the running tests.
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

// parallel runs the rest of the test in parallel with others, once there is room for
// its pods. Millicores is the most that they request at a time, surges of rollouts
// included. Seconds is about how long the test takes; the longest test begins first.
// All tests are in the queue before the first one is admitted, because Go resumes
// parallel tests after the serial parts of all tests.
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

// admit returns room to the node and starts the waiting tests that fit.
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
