package metrics

import (
	"fmt"
	"strings"
	"testing"
)

// TestVersions: however many versions are seen, a Prometheus gets few labels.
func TestVersions(t *testing.T) {
	t.Parallel()
	var v Versions
	labels := map[string]bool{}
	for i := range 1000 {
		labels[v.Label(fmt.Sprintf("v%d", i))] = true
	}
	if len(labels) != maxVersions+1 || !labels[Other] || !labels["v0"] {
		t.Errorf("%d labels of 1000 versions, want the first %d and %q", len(labels), maxVersions, Other)
	}
	if got := v.Label("v3"); got != "v3" {
		t.Errorf("a known version is %q, want v3", got)
	}
	var odd Versions
	for version, want := range map[string]string{"": "unknown", "\xff1": "1", strings.Repeat("a", 99) + "b": strings.Repeat("a", maxLength)} {
		if got := odd.Label(version); got != want {
			t.Errorf("label of %.10q is %q, want %q", version, got, want)
		}
	}
}
