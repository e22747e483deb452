package ledger

import (
	"testing"
	"time"
)

// TestRedelivered: a chunk that goes out again is counted by why it did, and
// the oldest in flight is as old as its first lease.
func TestRedelivered(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	l := New(Config{SuspectAfter: time.Second, GoneAfter: 2 * time.Second})
	l.Add(now)
	give := func(name string) {
		t.Helper()
		l.Hear(now, Report{Mapper: name, Seq: 1, Asking: []uint64{1}})
		if _, ok := l.Lease(now, name, 1); !ok {
			t.Fatalf("no chunk for %s", name)
		}
	}
	end := map[Reason]func(name string){
		Lost:     func(name string) { l.Hear(now, Report{Mapper: name, Seq: 2}) },
		Returned: func(name string) { l.Hear(now, Report{Mapper: name, Seq: 2, Goodbye: true}) },
		Vanished: func(name string) { l.Vanish(name) },
	}
	var want [reasons]uint64
	if got := l.Oldest(now); got != 0 {
		t.Errorf("the oldest is %s, and none is in flight", got)
	}
	give("first")
	if got := l.Oldest(now.Add(time.Minute)); got != time.Minute {
		t.Errorf("the oldest is %s, want 1m", got)
	}
	last := "first"
	for _, reason := range []Reason{Vanished, Lost, Returned, Lost} {
		end[reason](last)
		for _, id := range l.Doubts() {
			l.Settle(id)
		}
		last += "+"
		give(last)
		want[reason]++
		if got := l.Redelivered(); got != want {
			t.Errorf("after %s: %v, want %v", reason, got, want)
		}
	}
}
