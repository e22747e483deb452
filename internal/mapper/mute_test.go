package mapper

import (
	"errors"
	"testing"

	"github.com/chunkline/chunkline/internal/transform"
)

// TestMute: a transform is given up when its first objects have no answer, not when any
// has one, even one that failed.
func TestMute(t *testing.T) {
	t.Parallel()
	late, failed := &transform.Failure{Late: true, Err: "no result"}, &transform.Failure{Err: "error"}
	for name, c := range map[string]struct {
		keep  bool
		went  []*transform.Failure
		stops bool
	}{
		"mute":           {went: []*transform.Failure{late, late, late}, stops: true},
		"too few":        {went: []*transform.Failure{late, late}},
		"an answer":      {went: []*transform.Failure{late, nil, late, late, late}},
		"an error":       {went: []*transform.Failure{late, failed, late, late, late}},
		"is to keep on":  {keep: true, went: []*transform.Failure{late, late, late, late}},
		"answered later": {went: []*transform.Failure{late, late, nil, late}},
	} {
		m := mute{stops: !c.keep}
		var err error
		for _, f := range c.went {
			if e := m.after(f); e != nil {
				err = e
			}
		}
		if errors.Is(err, errMute) != c.stops {
			t.Errorf("%s: %v, want that it stops: %t", name, err, c.stops)
		}
	}
}
