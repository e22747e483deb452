package main

import (
	"bytes"
	"fmt"
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

// A screen is a terminal, or what stands in its place, whose last line is a bar. What is
// written meanwhile, by whomever, takes the line of the bar, which is drawn again below.
type screen struct {
	w    io.Writer
	size func() (width, height int) // of the terminal; nil: ask it

	mu sync.Mutex // one writer at a time; guards the others

	bar   string // as it was drawn last; "": there is none
	there bool   // it is on the last line
}

// Write writes whole lines. After a part of one the bar waits for the next draw.
func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.there {
		return s.w.Write(p)
	}
	s.there = false
	if _, err := io.WriteString(s.w, s.begin()+clearBelow); err != nil {
		return 0, err
	}
	n, err := s.w.Write(p)
	if err == nil && bytes.HasSuffix(p, []byte{'\n'}) {
		s.there = true
		_, err = io.WriteString(s.w, s.bar)
	}
	return n, err
}

// draw draws the bar, of one line, over what was drawn last. It is not wiped first, so that
// it does not flicker.
func (s *screen) draw(bar string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	begin := "\r"
	if s.there {
		begin = s.begin()
	}
	s.bar, s.there = bar, true
	_, _ = io.WriteString(s.w, begin+bar+clearBelow) // a terminal that went away is no reason to stop
}

// clear wipes the bar for the last time.
func (s *screen) clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.there {
		_, _ = io.WriteString(s.w, s.begin()+clearBelow) // a terminal that went away shows nothing anyway
	}
	s.bar, s.there = "", false
}

// clearBelow clears what is right of the cursor, and below.
const clearBelow = "\x1b[J"

// begin goes to where the bar begins.
func (s *screen) begin() string {
	width, _ := s.columns()
	return up(wrapped(len(s.bar), width)) + "\r"
}

func (s *screen) columns() (width, height int) {
	if s.size != nil {
		return s.size()
	}
	return sizeOf(s.w)()
}

// up goes up so many rows.
func up(rows int) string {
	if rows == 0 {
		return "" // 0 is 1 to a terminal
	}
	return fmt.Sprintf("\x1b[%dA", rows)
}

// wrapped is how many rows more than one a line takes in a terminal that has become
// narrower, since terminals wrap what they show anew.
func wrapped(columns, width int) int {
	if width <= 0 || columns == 0 {
		return 0
	}
	return (columns - 1) / width
}

// Fd is that of the terminal; not one of any file if it is none.
func (s *screen) Fd() uintptr { return fdOf(s.w) }

func fdOf(w io.Writer) uintptr {
	if f, ok := w.(interface{ Fd() uintptr }); ok {
		return f.Fd()
	}
	return ^uintptr(0)
}
