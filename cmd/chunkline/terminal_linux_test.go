package main

import (
	"bufio"
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/test/proc"
)

// TestTerminal: on a terminal a watch draws in place and a job has a bar. A dumb
// terminal gets lines, like a file.
func TestTerminal(t *testing.T) {
	t.Setenv("TERM", "xterm")
	tty, behind := proc.Terminal(t)
	if width, height := sizeOf(tty)(); width != 100 || height != 24 {
		t.Errorf("size %d, %d; want 100, 24", width, height)
	}
	done := func(context.Context) (report.Status, error) {
		return report.Status{Job: "x", State: report.StateDone, Progress: 1, Source: "file"}, nil
	}
	w := newWatch(&remote{}, tty, false, false)
	w.ask = done
	if err := w.run(t.Context()); err != nil || w.every != panelInterval {
		t.Errorf("watch every %s ended with %v", w.every, err)
	}
	reader := bufio.NewReader(behind)
	if line, err := reader.ReadString('\n'); err != nil || !strings.HasPrefix(line, "\r\x1b[Jjob x: done") {
		t.Errorf("drew %q, %v", line, err)
	}
	if w := newWatch(&remote{}, tty, true, false); w.every != watchInterval {
		t.Errorf("JSON is shown every %s, want %s", w.every, watchInterval)
	}
	if w := newWatch(&remote{}, new(bytes.Buffer), false, false); w.every != watchInterval {
		t.Errorf("no terminal: shown every %s, want %s", w.every, watchInterval)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // the bar is still drawn once, at the end
	showProgress(ctx, &screen{w: tty}, func() report.Status { return statusOf(1, 0.5) })
	if text, err := reader.ReadString('|'); err != nil || !strings.Contains(text, " 50 % |") {
		t.Errorf("drew %q, %v; want a bar", text, err)
	}
	showWaiting(&screen{w: tty})(&pgconn.PgError{Message: strings.Repeat("starting up ", 20)})
	if text, err := reader.ReadString(')'); err != nil || !strings.HasSuffix(text, "waiting for the database (0s)") {
		t.Errorf("drew %q, %v; want what is waited for", text, err)
	}
	if text, err := reader.ReadString('J'); err != nil || !strings.HasPrefix(text, ": starting up ") || len(text) > 80 {
		t.Errorf("drew %q, %v; want one line of it", text, err)
	}
	t.Setenv("TERM", "dumb")
	if isInteractive(tty) {
		t.Error("drew on a dumb terminal")
	}
}
