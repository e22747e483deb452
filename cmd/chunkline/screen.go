package main

import (
	"io"
	"sync"

	"github.com/spf13/cobra"
)

// streams is where a command reads and writes. Data goes to out, all else to err.
type streams struct {
	in  io.Reader
	out io.Writer
	err *screen
}

func streamsOf(c *cobra.Command) streams {
	return streams{in: c.InOrStdin(), out: c.OutOrStdout(), err: &screen{w: c.ErrOrStderr()}}
}

// A screen is a terminal, or what stands in its place, on which a progress bar
// has the last line: what is written meanwhile wipes the bar and takes its line;
// the bar draws itself anew, below, with its next step.
type screen struct {
	w  io.Writer
	mu sync.Mutex // one writer at a time; guards bar

	bar bool // a bar is on the last line
}

// wipe goes to the begin of the line and clears it.
const wipe = "\r\x1b[2K"

// Write writes whole lines.
func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bar {
		s.bar = false
		if _, err := io.WriteString(s.w, wipe); err != nil {
			return 0, err
		}
	}
	return s.w.Write(p)
}

// Fd is that of the terminal; not one of any file if it is none.
func (s *screen) Fd() uintptr { return fdOf(s.w) }

func fdOf(w io.Writer) uintptr {
	if f, ok := w.(interface{ Fd() uintptr }); ok {
		return f.Fd()
	}
	return ^uintptr(0)
}

// line is the last line of a screen, for a bar.
type line struct{ s *screen }

func (l line) Write(p []byte) (int, error) {
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	l.s.bar = true
	return l.s.w.Write(p)
}

func (l line) Fd() uintptr { return l.s.Fd() }

// clear wipes the line for the last time.
func (l line) clear() {
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	if l.s.bar {
		l.s.bar = false
		_, _ = io.WriteString(l.s.w, wipe) // a terminal that went away shows nothing anyway
	}
}
