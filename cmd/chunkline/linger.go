package main

import (
	"context"
	"fmt"
	"time"

	"github.com/chunkline/chunkline/internal/report"
)

// lingerTime is how long a job that is done waits for who looks at its live page.
const lingerTime = 10 * time.Second

// livePage is where the live page is, and whether anybody has opened it so far.
type livePage struct {
	addr   string
	opened func() bool
}

// showUntilDone is showProgress until the job is done.
func showUntilDone(ctx context.Context, w *screen, status func() report.Status) {
	ctx, done := context.WithCancel(ctx)
	defer done()
	showProgress(ctx, w, func() report.Status {
		s := status()
		if s.State == report.StateDone {
			done()
		}
		return s
	})
}

// linger waits for Enter, for lingerTime at most. The goroutine that reads ends with the
// process, since a terminal cannot be told to stop reading.
func linger(ctx context.Context, std streams) {
	fmt.Fprintf(std.err, "the job is done; press Enter to end (ends by itself in %s)\n", lingerTime)
	enter := make(chan struct{})
	go func() {
		defer close(enter)
		_, _ = std.in.Read(make([]byte, 1)) // the end of input ends the wait, too
	}()
	timer := time.NewTimer(lingerTime)
	defer timer.Stop()
	select {
	case <-enter:
	case <-timer.C:
	case <-ctx.Done():
	}
}
