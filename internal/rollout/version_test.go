package rollout

import (
	"fmt"
	"testing"
	"time"
)

// TestAdd_evicts: mappers choose the names of versions, so a Table has room for
// a bounded number; the ones with state worth keeping stay.
func TestAdd_evicts(t *testing.T) {
	t.Parallel()
	table := New(Config{Shares: Shares{"limited": 0.5}, BreakAt: 0.5, BreakFor: rest})
	inUse := map[string]bool{"in use": true}
	kept := map[string]*Version{}
	for _, name := range []string{"limited", "in use", "open"} {
		kept[name], _ = table.Add(start, name, inUse)
	}
	for range leastChunks {
		kept["open"].Breaker.Record(start, Outcome{Objects: 1, Failed: 1})
	}
	first, _ := table.Add(start, "v0", inUse)
	later := func(i int) time.Time { return start.Add(time.Duration(i) * time.Second) }
	for i := 1; i < maxVersions-len(kept); i++ {
		if _, evicted := table.Add(later(i), fmt.Sprint("v", i), inUse); evicted != nil {
			t.Fatalf("%s is evicted though there is room", evicted.Name)
		}
	}
	first.Seen(later(maxVersions)) // a mapper of it is back, so v1 is the oldest
	for i := 1; i <= maxVersions; i++ {
		want := fmt.Sprint("v", i)
		switch {
		case i == maxVersions-len(kept):
			want = "v0"
		case i > maxVersions-len(kept):
			want = fmt.Sprint("w", i-(maxVersions-len(kept)))
		}
		if _, evicted := table.Add(later(maxVersions+i), fmt.Sprint("w", i), inUse); evicted == nil || evicted.Name != want {
			t.Fatalf("w%d evicts %+v, want %s", i, evicted, want)
		}
	}
	if len(table.versions) != maxVersions {
		t.Errorf("%d versions, want %d", len(table.versions), maxVersions)
	}
	for name, v := range kept {
		if table.versions[name] != v {
			t.Errorf("%s is evicted", name)
		}
	}
}

// TestAdd_full: a Table whose versions all have state worth keeping grows.
func TestAdd_full(t *testing.T) {
	t.Parallel()
	table, inUse := New(Config{}), map[string]bool{}
	for i := range maxVersions + 1 {
		name := fmt.Sprint("v", i)
		inUse[name] = true
		if _, evicted := table.Add(start, name, inUse); evicted != nil {
			t.Fatalf("%s is evicted though its mappers are here", evicted.Name)
		}
	}
}
