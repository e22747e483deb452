package ledger

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/chunkline/chunkline/internal/chunk"
)

// TestRedelivered: redelivered chunks are counted by reason, and the age of the oldest
// chunk in flight counts from its first lease.
func TestRedelivered(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	l := New(Config{SuspectAfter: time.Second, GoneAfter: 2 * time.Second})
	l.Add(now, 10)
	give := func(name string) {
		t.Helper()
		l.Hear(now, Report{Mapper: name, Seq: 1, Asking: []uint64{1}})
		if _, ok := l.Lease(now, name, 1, 0, 0); !ok {
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
		t.Errorf("Oldest() = %s, want 0 without a piece in flight", got)
	}
	give("first")
	if got := l.Oldest(now.Add(time.Minute)); got != time.Minute {
		t.Errorf("the oldest is %s, want 1m", got)
	}
	last := "first"
	for _, reason := range []Reason{Vanished, Lost, Returned, Lost} {
		end[reason](last)
		for _, p := range l.Unconfirmed() {
			l.NotSaved(p)
		}
		last += "+"
		give(last)
		want[reason]++
		if got := l.Redelivered(); got != want {
			t.Errorf("after %s: %v, want %v", reason, got, want)
		}
	}
}

// TestMap: for any part of the job and any number of chunks per cell, the map's counts
// match Look for each chunk.
func TestMap(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		now := time.Unix(1000, 0)
		l := New(Config{SuspectAfter: time.Second, GoneAfter: 2 * time.Second, MaxAttempts: 1})
		l.Hear(now, Report{Mapper: "m", Seq: 1, Asking: []uint64{1}})
		for range rapid.IntRange(0, 300).Draw(t, "chunks") {
			size := rapid.SampledFrom([]int{10, 10, 10, 7}).Draw(t, "objects")
			most := rapid.IntRange(0, size).Draw(t, "most")
			switch rapid.IntRange(0, 5).Draw(t, "how") {
			case 0, 1:
				l.AddSaved(size)
			case 2:
				l.Saved(now, chunk.Piece{Chunk: l.Add(now, size), From: rapid.IntRange(0, most).Draw(t, "from"), To: size}, "m")
			case 3:
				l.Add(now, size)
			case 4:
				l.Add(now, size)
				l.Lease(now, "m", 1, most, 0)
			case 5: // a dead one
				l.Add(now, size)
				l.Hear(now, Report{Mapper: "other", Seq: 1, Asking: []uint64{1}})
				l.Lease(now, "other", 1, most, 0)
				l.Vanish("other")
				for _, p := range l.Unconfirmed() {
					l.NotSaved(p)
				}
			}
		}
		first := chunk.ID(rapid.IntRange(0, 320).Draw(t, "first"))
		each := rapid.IntRange(1, 130).Draw(t, "each")
		for i, got := range l.Map(first, each, rapid.IntRange(1, 40).Draw(t, "cells")) {
			var want Cell
			objects, saved := 0, 0
			from := first + chunk.ID(i*each)
			for id := from; id < from+chunk.ID(each); id++ {
				state, pieces, there := l.Look(now, id)
				for _, v := range pieces {
					objects += v.Piece.Len()
					if v.State == Saved {
						saved += v.Piece.Len()
					}
				}
				switch {
				case !there:
				case state == Ready:
					want.Ready++
				case state == InFlight:
					want.InFlight++
				case state == Saved:
					want.Saved++
				default:
					want.Dead++
				}
			}
			if objects > 0 {
				want.Share = float64(saved) / float64(objects)
			}
			if got != want {
				t.Fatalf("cell %d, chunks %d to %d: %+v, want %+v", i, from, int(from)+each-1, got, want)
			}
		}
	})
}

// TestStragglers: pieces in flight for longer than the limit are listed, the oldest
// first, with the mappers that hold them, even if they have a backup attempt.
func TestStragglers(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	l := New(Config{SuspectAfter: time.Hour, GoneAfter: 2 * time.Hour, Speculate: true})
	for i, name := range []string{"a", "b", "c"} {
		l.Add(now, 10+i)
		l.Hear(now, Report{Mapper: name, Seq: 1, Asking: []uint64{1}})
		l.Lease(now.Add(time.Duration(i)*time.Millisecond), name, 1, 0, 0)
	}
	if got := l.Stragglers(now.Add(minStraggler), 10); len(got) != 0 {
		t.Errorf("nobody is late yet: %+v", got)
	}
	later := now.Add(minStraggler + 2*time.Millisecond)
	l.Hear(now, Report{Mapper: "idle", Seq: 1, Asking: []uint64{1}})
	if _, ok := l.Lease(later, "idle", 1, 0, 0); !ok {
		t.Fatal("the straggler got no backup attempt")
	}
	want := []View{
		{Piece: chunk.Whole(0, 10), State: InFlight, Attempt: 1, For: minStraggler + 2*time.Millisecond, Mappers: []string{"a", "idle"}, Backup: true},
		{Piece: chunk.Whole(1, 11), State: InFlight, Attempt: 1, For: minStraggler + time.Millisecond, Mappers: []string{"b"}},
	}
	if got := l.Stragglers(later, 10); !reflect.DeepEqual(got, want) {
		t.Errorf("stragglers %+v, want %+v", got, want)
	}
	if got := l.Stragglers(later, 1); len(got) != 1 || got[0].Piece.Chunk != 0 {
		t.Errorf("at most one: %+v", got)
	}
	l.Vanish("b")
	if state, pieces, _ := l.Look(later, 1); state != InFlight || !slices.Equal(pieces[0].Lost, []string{"b"}) || pieces[0].Attempt != 2 || pieces[0].For != 0 {
		t.Errorf("after its mapper vanished chunk 1 is %+v", pieces)
	}
}

// TestStragglersByLength: the time limit of a piece depends on its number of objects: of
// two pieces that were leased together, only the shorter one is late.
func TestStragglersByLength(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	l := New(Config{SuspectAfter: time.Hour, GoneAfter: 2 * time.Hour, Speculate: true})
	for i, most := range []int{100, 10, 30} {
		name := string(rune('a' + i))
		l.Add(now, 100)
		l.Hear(now, Report{Mapper: name, Seq: 1, Asking: []uint64{1}})
		l.Lease(now, name, 1, most, 0)
	}
	now = now.Add(10 * time.Second)
	l.Saved(now, chunk.Whole(0, 100), "a")
	if got := l.ObjectTime(); got != 100*time.Millisecond {
		t.Fatalf("an object takes %s, want 100ms", got)
	}
	late := l.Stragglers(now.Add(-5*time.Second), 10) // 5 s after the leases; the limits are 2 s and 6 s
	if len(late) != 1 || late[0].Piece != (chunk.Piece{Chunk: 1, To: 10}) {
		t.Errorf("stragglers %+v, want the piece of 10 objects", late)
	}
	if late := l.Stragglers(now, 10); len(late) != 2 {
		t.Errorf("stragglers %+v, want both", late)
	}
}

// TestBackupWins: a backup attempt whose result is saved first counts once, whether or not
// its mapper still lists the chunk when the confirmation arrives. A backup attempt that is
// not the first does not count.
func TestBackupWins(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		letsGo bool   // before the confirmation the backup's mapper reports that it holds nothing
		by     string // the mapper whose result is saved
		want   uint64
	}{
		"held":               {false, "backup", 1},
		"let go":             {true, "backup", 1},
		"the straggler's":    {false, "slow", 0},
		"let go, not its":    {true, "slow", 0},
		"let go, of no name": {true, "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			now := time.Unix(1000, 0)
			l := New(Config{SuspectAfter: time.Hour, GoneAfter: 2 * time.Hour, Speculate: true})
			p := chunk.Whole(l.Add(now, 10), 10)
			l.Hear(now, Report{Mapper: "slow", Seq: 1, Asking: []uint64{1}})
			l.Lease(now, "slow", 1, 0, 0)
			now = now.Add(minStraggler + time.Millisecond)
			l.Hear(now, Report{Mapper: "backup", Seq: 1, Asking: []uint64{1}})
			if given, ok := l.Lease(now, "backup", 1, 0, 0); !ok || !given.Backup {
				t.Fatalf("got %+v, %t, want a backup attempt", given, ok)
			}
			if c.letsGo {
				l.Hear(now, Report{Mapper: "backup", Seq: 2})
			}
			l.Saved(now, p, c.by)
			if got := l.Counts().BackupWins; got != c.want {
				t.Errorf("%d backup attempts were first, want %d", got, c.want)
			}
		})
	}
}

func BenchmarkMap(b *testing.B) {
	l := New(Config{})
	for range 10_000_000 {
		l.AddSaved(chunk.DefaultSize)
	}
	for b.Loop() {
		l.Map(0, 10_000_000/2000, 2000)
	}
}
