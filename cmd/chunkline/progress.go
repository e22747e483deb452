package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/chunkline/chunkline/internal/bus"
	"github.com/chunkline/chunkline/internal/pipeline"
)

// lineInterval is how often progress is told where there is no terminal.
const lineInterval = 10 * time.Second

// showProgress shows how far the job is until ctx ends: a bar on a terminal,
// else a line now and then.
func showProgress(ctx context.Context, w *screen, status func() bus.Status) {
	if !isInteractive(w) {
		showLines(ctx, w, status)
		return
	}
	last := line{w}
	width := min(30, widthOf(last)/3)
	bar := newBar(last, width)
	pipeline.Poll(ctx, status, func(s bus.Status) {
		_ = bar.Set(int(s.Progress * barSteps)) // a terminal that went away is no reason to stop
		bar.Describe(cut(describe(s), widthOf(last)-width-barFrame))
	})
	last.clear()
}

// barSteps is how fine the bar is; how many objects there are is not known at first.
const barSteps = 1000

// newBar makes a bar without colours. It is drawn over itself, never wiped
// first, so it does not flicker. It is never full: the report follows then.
func newBar(w io.Writer, width int) *progressbar.ProgressBar {
	return progressbar.NewOptions(barSteps+1,
		progressbar.OptionSetWriter(w),
		progressbar.OptionUseANSICodes(true),
		progressbar.OptionSetPredictTime(false), // the fetcher knows the rate and the time left
		progressbar.OptionSetElapsedTime(false),
		progressbar.OptionShowDescriptionAtLineEnd(), // its length varies; the bar stays where it is
		progressbar.OptionSetWidth(width),
	)
}

// barFrame is what stands around bar and text: percent, brackets and blanks.
const barFrame = 12

// widthOf is the width of a terminal in columns.
func widthOf(w interface{ Fd() uintptr }) int {
	if width, _, err := term.GetSize(int(w.Fd())); err == nil && width > 0 {
		return width
	}
	return 80
}

// cut shortens text, which is ASCII, to width: a line that wraps would not be
// overwritten by the next one.
func cut(text string, width int) string { return text[:max(0, min(len(text), width))] }

func showLines(ctx context.Context, w io.Writer, status func() bus.Status) {
	last := time.Now()
	pipeline.Poll(ctx, status, func(s bus.Status) {
		if now := time.Now(); now.Sub(last) >= lineInterval {
			last = now
			fmt.Fprintln(w, progressLine(s))
		}
	})
}

// progressLine is the progress in a line that stands for itself.
func progressLine(s bus.Status) string {
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
func total(s bus.Status) string {
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
func describe(s bus.Status) string {
	text := fmt.Sprintf("%d objects, %.0f/s", s.Objects.Saved, s.Rate)
	if s.ETASeconds != nil {
		text += fmt.Sprintf(", %s left", time.Duration(*s.ETASeconds*float64(time.Second)).Round(time.Second))
	}
	if s.Objects.Dead > 0 {
		text += fmt.Sprintf(", %d dead", s.Objects.Dead)
	}
	if s.SaverAway {
		text += ", waiting for the saver"
	} else if len(s.Mappers) == 0 && s.State == bus.StateRunning {
		text += ", waiting for mappers"
	}
	return text
}
