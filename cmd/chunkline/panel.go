package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"

	"golang.org/x/term"

	"github.com/chunkline/chunkline/internal/app"
	"github.com/chunkline/chunkline/internal/report"
)

// isInteractive says whether w is a terminal on which something can be drawn
// over: TERM=dumb is one on which it cannot.
func isInteractive(w io.Writer) bool { return app.IsTerminal(w) && os.Getenv("TERM") != "dumb" }

// A panel is the last lines of a terminal, drawn over themselves.
type panel struct {
	w     io.Writer
	size  func() (width, height int)
	drawn []int  // columns of the lines that are drawn
	last  string // status that is not an error
}

// show draws a status; when none could be had, the last one and why.
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

// draw replaces what was drawn before. A line that is too long is cut: one
// that wraps would not be drawn over.
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

// sizeOf tells the size of the terminal w, which may change.
func sizeOf(w io.Writer) func() (width, height int) {
	return func() (width, height int) {
		if width, height, err := term.GetSize(int(fdOf(w))); err == nil && width > 0 && height > 0 {
			return width, height
		}
		return 80, 24
	}
}

// printable is text that comes from elsewhere, without what would do something
// to a terminal.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}
