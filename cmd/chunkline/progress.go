package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/chunkline/chunkline/internal/pipeline"
	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/internal/sink/sqlsink"
)

// Without a terminal, the first line is printed after firstInterval, so that the user soon sees that the job runs, and
// then one every lineInterval.
const (
	firstInterval = time.Second
	lineInterval  = 10 * time.Second
)

// showProgress shows the progress of the job until ctx ends: a bar on a terminal, otherwise a line every lineInterval.
func showProgress(ctx context.Context, w *screen, status func() report.Status) {
	if !isInteractive(w) {
		showLines(ctx, w, status)
		return
	}
	pipeline.Poll(ctx, status, func(s report.Status) {
		width, _ := w.columns() // asked each time, because a terminal can be resized
		w.draw(barLine(s.Progress, describe(s), width-1))
	})
	w.clear()
}

// showWaiting returns a function that shows each error of a database that accepts no connections. Errors are shown like
// progress: in place on a terminal, otherwise as one line every lineInterval.
func showWaiting(w *screen) func(error) {
	var begin time.Time
	var next time.Duration
	return func(err error) {
		if err == nil {
			return
		}
		if begin.IsZero() {
			begin = time.Now()
		}
		gone := time.Since(begin)
		text := fmt.Sprintf("waiting for the database (%s): %s", gone.Round(time.Second), printable(strings.Join(strings.Fields(sqlsink.Reason(err)), " ")))
		if isInteractive(w) {
			width, _ := w.columns()
			w.draw(strings.ToValidUTF8(cut(text, width-1), ""))
			return
		}
		if gone >= next {
			next = gone.Truncate(lineInterval) + lineInterval
			fmt.Fprintln(w, text)
		}
	}
}

const (
	mostBar  = 30 // columns
	leastBar = 5  // a shorter bar is useless
)

// barLine returns percentage, bar and text in one line of at most width columns. The text is ASCII. If there is little
// room, the bar is short or missing, and then the text is cut. A job stays at 99 % until it is done and the report
// follows.
func barLine(progress float64, text string, width int) string {
	percent := fmt.Sprintf("%3d %% ", min(99, int(100*progress)))
	room := width - len(percent) - len("|| ") - len(text)
	if room = min(room, mostBar, width/3); room >= leastBar {
		full := min(room, int(progress*float64(room)))
		percent += "|" + strings.Repeat("#", full) + strings.Repeat(" ", room-full) + "| "
	}
	return cut(percent+text, width)
}

// cut shortens text, which is ASCII, to width: the next line would not overwrite a line that wraps.
func cut(text string, width int) string { return text[:max(0, min(len(text), width))] }

func showLines(ctx context.Context, w io.Writer, status func() report.Status) {
	begin, next := time.Now(), firstInterval
	pipeline.Poll(ctx, status, func(s report.Status) {
		if gone := time.Since(begin); gone >= next {
			next = gone.Truncate(lineInterval) + lineInterval
			fmt.Fprintln(w, progressLine(s))
		}
	})
}

// progressLine returns the progress as a line that is complete by itself.
func progressLine(s report.Status) string {
	text := fmt.Sprintf("%3.0f %% of %s: %s", 100*s.Progress, total(s), describe(s))
	switch n := len(s.Mappers); n {
	case 0: // describe says so
	case 1:
		text += ", 1 mapper"
	default:
		text += fmt.Sprintf(", %d mappers", n)
	}
	return text
}

// total returns the number of objects; while the source is being read, an estimate from its size.
func total(s report.Status) string {
	switch {
	case s.Cut:
		return fmt.Sprintf("%d objects", s.Objects.Cut)
	case s.Progress > 0:
		return fmt.Sprintf("about %.0f objects", float64(s.Objects.Saved)/s.Progress)
	default:
		return "the source"
	}
}

// describe returns progress, speed and remaining time.
func describe(s report.Status) string {
	text := fmt.Sprintf("%d objects, %.0f/s", s.Objects.Saved, s.Rate)
	if s.ETASeconds != nil {
		text += fmt.Sprintf(", %s left", time.Duration(*s.ETASeconds*float64(time.Second)).Round(time.Second))
	}
	if s.Objects.Dead > 0 {
		text += fmt.Sprintf(", %d dead", s.Objects.Dead)
	}
	if s.SaverAway {
		text += ", waiting for the saver"
	} else if len(s.Mappers) == 0 && s.State == report.StateRunning {
		text += ", waiting for mappers"
	}
	return text
}

// lingerTime is how long the process of a job that is done waits for viewers of its live page. Tests have more time.
var lingerTime = 10 * time.Second

// livePage is the address of the live page, and whether anyone has opened it.
type livePage struct {
	addr   string
	opened func() bool
}

// showUntilDone is showProgress, and returns when the job is done.
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

// linger waits for Enter, for at most lingerTime. The goroutine that reads ends with the process, because a read from a
// terminal cannot be interrupted.
func linger(ctx context.Context, std streams) {
	fmt.Fprintf(std.err, "the job is done; press Enter to exit (exits by itself in %s)\n", lingerTime)
	enter := make(chan struct{})
	go func() {
		defer close(enter)
		_, _ = std.in.Read(make([]byte, 1)) // the end of the input also ends the wait
	}()
	timer := time.NewTimer(lingerTime)
	defer timer.Stop()
	select {
	case <-enter:
	case <-timer.C:
	case <-ctx.Done():
	}
}
