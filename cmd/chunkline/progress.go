package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/chunkline/chunkline/internal/pipeline"
	"github.com/chunkline/chunkline/internal/report"
)

// Where there is no terminal progress is told soon, so that it is known that something
// happens, and then now and then.
const (
	firstInterval = time.Second
	lineInterval  = 10 * time.Second
)

// showProgress shows how far the job is until ctx ends: a bar on a terminal,
// else a line now and then.
func showProgress(ctx context.Context, w *screen, status func() report.Status) {
	if !isInteractive(w) {
		showLines(ctx, w, status)
		return
	}
	pipeline.Poll(ctx, status, func(s report.Status) {
		width, _ := w.columns() // each time: a terminal can be resized
		w.draw(barLine(s.Progress, describe(s), width-1))
	})
	w.clear()
}

const (
	mostBar  = 30 // columns
	leastBar = 5  // a shorter one says nothing
)

// barLine is the share that is done, a bar, and a text, in one line of at most width
// columns. The text is ASCII. Where there is little room the bar is short, or there is
// none, and then the text is cut. A job is at 99 % until it is done: the report follows then.
func barLine(progress float64, text string, width int) string {
	percent := fmt.Sprintf("%3d %% ", min(99, int(100*progress)))
	room := width - len(percent) - len("|| ") - len(text)
	if room = min(room, mostBar, width/3); room >= leastBar {
		full := min(room, int(progress*float64(room)))
		percent += "|" + strings.Repeat("#", full) + strings.Repeat(" ", room-full) + "| "
	}
	return cut(percent+text, width)
}

// cut shortens text, which is ASCII, to width: a line that wraps would not be
// overwritten by the next one.
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

// progressLine is the progress in a line that stands for itself.
func progressLine(s report.Status) string {
	text := fmt.Sprintf("%3.0f %% of %s: %s", 100*s.Progress, total(s), describe(s))
	switch n := len(s.Mappers); n {
	case 0: // said already
	case 1:
		text += ", 1 mapper"
	default:
		text += fmt.Sprintf(", %d mappers", n)
	}
	return text
}

// total is how many objects there are: while the source is being read, about
// as many as its size promises.
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

// describe says how far, how fast and when done.
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
