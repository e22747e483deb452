package rollout

import (
	"fmt"
	"strconv"
	"strings"
)

// Shares is the largest share of the chunks that each version may take, by version: 0 is none, 1 no limit.
type Shares map[string]float64

// Decode implements envconfig.Decoder. The text is VERSION=SHARE, with commas between several.
func (s *Shares) Decode(text string) error {
	*s = Shares{}
	for item := range strings.SplitSeq(text, ",") {
		if item = strings.TrimSpace(item); item == "" {
			continue
		}
		i := strings.LastIndexByte(item, '=') // the last one, because a version may contain = too
		if i < 1 {
			return fmt.Errorf("%q: want VERSION=SHARE", item)
		}
		share, err := strconv.ParseFloat(item[i+1:], 64)
		if err != nil || !IsShare(share) {
			return fmt.Errorf("%q: want a share from 0 (none) to 1 (no limit)", item)
		}
		(*s)[item[:i]] = share
	}
	return nil
}

// IsShare reports whether f is a share: a number from 0 to 1.
func IsShare(f float64) bool { return f >= 0 && f <= 1 }

// A quota limits a version to its share s of all chunks, however often its mappers ask. A chunk costs one credit, a
// piece its part of that. Each chunk that another version gets earns s/(1-s) credits: after n chunks of others the
// version has had n·s/(1-s), which is the share s of the sum.
//
// Invariant: 0 ≤ credit ≤ 1 + s/(1-s). The upper bound keeps a version that had no mappers for a while from getting all
// chunks when they return.
type quota struct {
	share  float64
	credit float64 // chunks that the version may take now
}

// newQuota starts with a credit of 2s, at most one chunk: with a share of a half or more a version may get the first
// chunk; with a smaller one it waits for others.
func newQuota(share float64) quota { return quota{share: share, credit: min(1, 2*share)} }

func (q *quota) limited() bool { return q.share < 1 }

func (q *quota) allows() bool { return !q.limited() || q.credit >= 1 }

// spend pays for a part of a chunk.
func (q *quota) spend(size float64) {
	if q.limited() {
		q.credit -= size
	}
}

// earn credits a part of a chunk that another version got.
func (q *quota) earn(size float64) {
	if q.limited() && q.share > 0 {
		each := q.share / (1 - q.share)
		q.credit = min(q.credit+each*size, 1+each)
	}
}
