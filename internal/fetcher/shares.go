package fetcher

import (
	"fmt"
	"strconv"
	"strings"
)

// Shares is the most of the chunks handed out that versions of mappers get, from 0 to 1.
type Shares map[string]float64

// Decode implements envconfig.Decoder: VERSION=SHARE with commas between them.
func (s *Shares) Decode(text string) error {
	*s = Shares{}
	for item := range strings.SplitSeq(text, ",") {
		if item = strings.TrimSpace(item); item == "" {
			continue
		}
		i := strings.LastIndexByte(item, '=') // a version may have one, too
		if i < 1 {
			return fmt.Errorf("%q: want VERSION=SHARE", item)
		}
		share, err := strconv.ParseFloat(item[i+1:], 64)
		if err != nil || !isShare(share) {
			return fmt.Errorf("%q: want a share from 0 (none) to 1 (no limit)", item)
		}
		(*s)[item[:i]] = share
	}
	return nil
}

func isShare(f float64) bool { return f >= 0 && f <= 1 }
