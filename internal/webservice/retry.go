package webservice

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"
)

// The wait before the n-th retry is random between 0 and min(retryCap, retryBase ×
// 2^(n-1)): exponential backoff with full jitter, as in "Exponential Backoff And
// Jitter" (AWS Architecture Blog, 2015). Base and cap are near those of the AWS SDKs'
// standard mode (docs.aws.amazon.com/sdkref, "Retry behavior").
const (
	retryBase = time.Second
	retryCap  = 20 * time.Second
)

// Backoff returns the longest wait before the n-th retry, from 1.
func Backoff(n int) time.Duration {
	if doublings := n - 1; doublings < 10 {
		return min(retryCap, retryBase<<doublings)
	}
	return retryCap
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

// Temporary reports whether another request may succeed after this status.
func Temporary(status int) bool {
	return status == http.StatusRequestTimeout || status == http.StatusTooManyRequests || status >= 500
}

// longest bounds what RetryAfter returns, so that durations do not overflow.
const longest = 365 * 24 * time.Hour

// RetryAfter returns how long the header Retry-After asks to wait. It is a number of
// seconds or a date (RFC 9110, 10.2.3). RetryAfter returns 0 for anything else.
func RetryAfter(h http.Header) time.Duration {
	text := h.Get("Retry-After")
	if seconds, err := strconv.ParseUint(text, 10, 64); err == nil || errors.Is(err, strconv.ErrRange) {
		return time.Duration(min(seconds, uint64(longest/time.Second))) * time.Second
	}
	if date, err := http.ParseTime(text); err == nil {
		return min(max(time.Until(date), 0), longest)
	}
	return 0
}
