package webservice

import (
	"errors"
	"net/http"
	"strconv"
	"time"
)

// Temporary reports whether another request may succeed after this status.
func Temporary(status int) bool {
	return status == http.StatusRequestTimeout || status == http.StatusTooManyRequests || status >= 500
}

// longest bounds what RetryAfter returns, so that durations do not overflow.
const longest = 365 * 24 * time.Hour

// RetryAfter returns how long the header Retry-After asks to wait. It is a number of seconds or a date (RFC 9110,
// 10.2.3). RetryAfter returns 0 for anything else.
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
