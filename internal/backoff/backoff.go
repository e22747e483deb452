// Package backoff computes how long to wait before a failed operation is tried again, and waits.
package backoff

import (
	"context"
	"time"
)

// The wait before the n-th retry is random between 0 and min(most, base × 2^(n-1)): exponential backoff with full
// jitter, as in "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015). Base and most are near those of the AWS
// SDKs' standard mode (docs.aws.amazon.com/sdkref, "Retry behavior").
const (
	base = time.Second
	most = 20 * time.Second
)

// Longest returns the longest wait before the n-th retry, from 1.
func Longest(n int) time.Duration {
	if doublings := n - 1; doublings < 10 {
		return min(most, base<<doublings)
	}
	return most
}

// Sleep waits for d, or until ctx ends.
func Sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
