package metrics

import (
	"strings"
	"sync"
)

const (
	maxVersions = 20 // a rollout has two; whoever sends random ones must not fill a Prometheus
	maxLength   = 64 // bytes of one

	// Other stands for every version beyond the first maxVersions.
	Other = "other"
)

// Versions bounds the values of a version label: the first maxVersions that
// are seen keep their names. The zero value is ready.
type Versions struct {
	mu    sync.Mutex
	known map[string]struct{} // guarded by mu
}

// Label is the label value for a version. Two that differ only beyond their
// first maxLength bytes have the same.
func (v *Versions) Label(version string) string {
	version = strings.ToValidUTF8(version[:min(len(version), maxLength)], "") // a client panics on what is not UTF-8
	if version == "" {
		version = "unknown"
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if _, known := v.known[version]; known {
		return version
	}
	if len(v.known) >= maxVersions {
		return Other
	}
	if v.known == nil {
		v.known = map[string]struct{}{}
	}
	v.known[version] = struct{}{}
	return version
}
