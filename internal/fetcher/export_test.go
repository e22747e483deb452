package fetcher

import (
	"context"
	"time"
)

// Freeze blocks the coordinator for d, as if the process were stopped.
func (f *Fetcher) Freeze(ctx context.Context, d time.Duration) {
	f.post(ctx, func(*coordinator) { <-time.After(d) })
}
