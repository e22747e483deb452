package fetcher

import (
	"context"
	"time"
)

// Freeze stops the coordinator for d, as a stopped process would be.
func (f *Fetcher) Freeze(ctx context.Context, d time.Duration) {
	f.post(ctx, func(*coordinator) { <-time.After(d) })
}
