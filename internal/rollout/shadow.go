package rollout

import (
	"fmt"
	"strings"

	"github.com/chunkline/chunkline/internal/chunk"
)

// Shadow selects the version that gets copies of a share of the saved chunks. Its mappers get no other work, and their
// results are compared, not saved.
type Shadow struct {
	Version string // "": none; NAME* stands for all versions that begin with NAME
	Share   float64
}

// Decode implements envconfig.Decoder. The text is VERSION=SHARE.
func (s *Shadow) Decode(text string) error {
	var shares Shares
	if err := shares.Decode(text); err != nil {
		return err
	}
	if len(shares) > 1 {
		return fmt.Errorf("%q: want one VERSION=SHARE", text)
	}
	*s = Shadow{}
	for version, share := range shares {
		*s = Shadow{Version: version, Share: share}
	}
	return nil
}

// Covers reports whether a version is a shadow. A lone * is an ordinary name: if it covered every version, no mapper
// would get regular work.
func (s Shadow) Covers(version string) bool {
	if prefix, many := strings.CutSuffix(s.Version, "*"); many && prefix != "" {
		return strings.HasPrefix(version, prefix)
	}
	return s.Version != "" && version == s.Version
}

// Samples reports whether the shadow gets a copy of a chunk. The choice depends only on the chunk's ID, so that two
// runs compare the same chunks. Knuth's multiplicative hash (The Art of Computer Programming 6.4) spreads the samples
// evenly over the job.
func (s Shadow) Samples(id chunk.ID) bool {
	const golden = 0x9E3779B97F4A7C15 // 2^64 divided by the golden ratio
	return s.Version != "" && float64((uint64(id)+1)*golden>>11)/(1<<53) < s.Share
}
