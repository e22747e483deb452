package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"unicode"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/chunkline/chunkline/internal/app"
	"github.com/chunkline/chunkline/internal/report"
)

// isInteractive reports whether w is a terminal that can be drawn over; TERM=dumb cannot.
func isInteractive(w io.Writer) bool { return app.IsTerminal(w) && os.Getenv("TERM") != "dumb" }

// A panel is a block of lines at the end of a terminal that is redrawn in place.
type panel struct {
	w     io.Writer
	size  func() (width, height int)
	drawn []int  // the columns of each drawn line
	last  string // the last status that was not an error
}

// show draws a status, or after an error the last status and the error.
func (p *panel) show(s report.Status, err error) error {
	text := p.last
	if err != nil {
		text += err.Error() + "\n"
	} else {
		text = statusText(s)
		p.last = text
	}
	return p.draw(text)
}

// draw replaces the lines that were drawn before. It cuts long lines, because a line that wraps would not be drawn
// over.
func (p *panel) draw(text string) error {
	width, height := p.size()
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if room := max(height-1, 2); len(lines) > room { // the cursor needs a line
		more := len(lines) - room + 1
		lines = append(lines[:room-1], fmt.Sprintf("… %d more lines", more))
	}
	var out strings.Builder
	rows := len(p.drawn)
	for _, columns := range p.drawn {
		rows += wrapped(columns, width)
	}
	out.WriteString(up(min(rows, height-1)) + "\r" + clearBelow)
	p.drawn = p.drawn[:0]
	for _, line := range lines {
		runes := []rune(line)
		runes = runes[:min(len(runes), width)]
		p.drawn = append(p.drawn, len(runes))
		out.WriteString(string(runes) + "\n")
	}
	_, err := io.WriteString(p.w, out.String())
	return err
}

// sizeOf returns a function for the current size of the terminal w.
func sizeOf(w io.Writer) func() (width, height int) {
	return func() (width, height int) {
		if width, height, err := term.GetSize(int(fdOf(w))); err == nil && width > 0 && height > 0 {
			return width, height
		}
		return 80, 24
	}
}

// printable replaces control characters in text from elsewhere, which could change the terminal.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}

// streams are a command's input and outputs. Data goes to out, everything else to err.
type streams struct {
	in  io.Reader
	out io.Writer
	err *screen
}

func streamsOf(c *cobra.Command) streams {
	return streams{in: c.InOrStdin(), out: c.OutOrStdout(), err: &screen{w: c.ErrOrStderr()}}
}

// A screen is a terminal, or another writer, with a progress bar in its last line. Text that is written meanwhile
// replaces the bar, which is drawn again below.
type screen struct {
	w    io.Writer
	size func() (width, height int) // of the terminal; nil asks the terminal

	mu sync.Mutex // held during each write; guards the fields below

	bar   string // as it was drawn last; "" if there is none
	there bool   // the bar is on the last line
}

// Write writes whole lines. After a partial line the bar waits for the next draw.
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

// draw draws the bar, of one line, over the last one. It does not clear the old bar first, which would flicker.
func (s *screen) draw(bar string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	begin := "\r"
	if s.there {
		begin = s.begin()
	}
	s.bar, s.there = bar, true
	_, _ = io.WriteString(s.w, begin+bar+clearBelow) // a closed terminal does not stop the job
}

// clear removes the bar for good.
func (s *screen) clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.there {
		_, _ = io.WriteString(s.w, s.begin()+clearBelow) // a closed terminal shows nothing
	}
	s.bar, s.there = "", false
}

// clearBelow clears everything from the cursor on.
const clearBelow = "\x1b[J"

// begin moves to the beginning of the bar.
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

// up moves up by rows.
func up(rows int) string {
	if rows == 0 {
		return "" // terminals take 0 as 1
	}
	return fmt.Sprintf("\x1b[%dA", rows)
}

// wrapped returns how many more rows than one a line takes in a terminal that has become narrower, because terminals
// wrap lines again.
func wrapped(columns, width int) int {
	if width <= 0 || columns == 0 {
		return 0
	}
	return (columns - 1) / width
}

// Fd returns the file descriptor of the terminal, or an invalid one.
func (s *screen) Fd() uintptr { return fdOf(s.w) }

func fdOf(w io.Writer) uintptr {
	if f, ok := w.(interface{ Fd() uintptr }); ok {
		return f.Fd()
	}
	return ^uintptr(0)
}
