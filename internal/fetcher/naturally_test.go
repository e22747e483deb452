package fetcher

import (
	"slices"
	"testing"
)

func TestNaturally(t *testing.T) {
	t.Parallel()
	want := []string{"", "1", "02", "2", "10", "a", "a1b2", "a1b10", "a2", "mapper-1", "mapper-2", "mapper-10", "mapper-11", "mapper-99999999999999999999999", "mapper-a"}
	for i := range want {
		for j := range want {
			got := naturally(want[i], want[j])
			if (got < 0) != (i < j) || (got == 0) != (i == j) {
				t.Errorf("%q and %q: %d", want[i], want[j], got)
			}
		}
	}
	if got := slices.SortedFunc(slices.Values(want), naturally); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}
