package app

import (
	"strings"
	"testing"
)

// TestCheckDescriptors: too many workers for the limit are refused, with the
// number that fits and the limit that is needed.
func TestCheckDescriptors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		limit         uint64
		workers, each int
		want          string // of the error; empty: none
	}{
		{64, 8, 4, ""},
		{64, 9, 4, "WORKERS=9: they need 68 open files, but this process may have 64: use at most 8 workers, or raise the limit (ulimit -n 68)"},
		{64, 1000, 0, ""},
		{0, 1000, 8, ""},
		{39, 1, 8, "a worker needs 40 open files, but this process may have 39: raise the limit (ulimit -n 40)"},
		{1 << 62, 1024, 8, ""},
	} {
		err := checkDescriptors(c.limit, c.workers, c.each)
		switch {
		case err == nil && c.want == "":
		case err == nil || err.Error() != c.want || Code(err) != ExitUsage:
			t.Errorf("%+v: %v, exit code %d", c, err, Code(err))
		}
	}
	if err := CheckDescriptors(1, 4); err != nil && !strings.Contains(err.Error(), "ulimit") {
		t.Error(err)
	}
}
