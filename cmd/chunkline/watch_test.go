package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chunkline/chunkline/internal/app"
	"github.com/chunkline/chunkline/internal/report"
)

var errGone = errors.New("no fetcher runs job \"x\"")

// jobFor returns the status of a job over time: no fetcher from 20 to 40 s, done
// after a minute with a number of dead letters.
func jobFor(dead uint64) func(context.Context) (report.Status, error) {
	begin := time.Now()
	return func(context.Context) (report.Status, error) {
		gone := time.Since(begin)
		switch s := statusOf(uint64(gone/time.Second), min(gone.Minutes(), 1)); {
		case gone >= 20*time.Second && gone < 40*time.Second:
			return report.Status{}, errGone
		case gone >= time.Minute:
			return report.Status{Job: "x", State: report.StateDone, Progress: 1, Objects: report.ObjectCounts{Saved: 60, Dead: dead}}, nil
		default:
			s.Job = "x"
			return s, nil
		}
	}
}

// TestWatch: a watch prints a line for each change until the job is done, and its exit
// code is that of the job.
func TestWatch(t *testing.T) {
	t.Parallel()
	for dead, code := range map[uint64]int{0: 0, 3: app.ExitDead} {
		synctest.Test(t, func(t *testing.T) {
			var out bytes.Buffer
			err := watch{ask: jobFor(dead), show: showChanges(&out, false), every: watchInterval}.run(t.Context())
			if app.Code(err) != code {
				t.Errorf("ended with %v, want exit code %d", err, code)
			}
			lines := strings.Split(strings.TrimSpace(out.String()), "\n")
			want := []string{"job x: running, 0.0 %", "job x: running, 16.7 %", errGone.Error(), "job x: running, 66.7 %", "job x: running, 83.3 %", "job x: done, 100.0 %, 60 objects"}
			if len(lines) != len(want) {
				t.Fatalf("printed %q, want %q", lines, want)
			}
			for i := range want {
				if !strings.HasPrefix(lines[i], want[i]) {
					t.Errorf("line %d is %q, want %q", i, lines[i], want[i])
				}
			}
		})
	}
}

// TestWatchJSON: every line is one JSON document, whatever happens.
func TestWatchJSON(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		if err := (watch{ask: jobFor(0), show: showChanges(&out, true), every: watchInterval}).run(t.Context()); err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		if len(lines) != 6 || lines[2] != oneJSON(map[string]string{"error": errGone.Error()}) ||
			!strings.HasPrefix(lines[0], `{"job":"x"`) || !strings.Contains(lines[5], `"state":"done"`) {
			t.Errorf("printed %q", lines)
		}
	})
}

// TestWatchEnds: a watch that is stopped before the end of the job has its own exit code,
// unless it has --stay. Wrong settings end it at once.
func TestWatchEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		never := func(report.Status, error) error { return nil }
		for _, test := range []struct {
			after time.Duration
			stay  bool
			code  int
		}{{30 * time.Second, false, app.ExitInterrupted}, {30 * time.Second, true, 0}, {time.Hour, true, 0}, {time.Hour, false, 0}} {
			ctx, cancel := context.WithTimeout(t.Context(), test.after)
			err := watch{ask: jobFor(0), show: never, every: watchInterval, stay: test.stay}.run(ctx)
			if stayed := ctx.Err() != nil; app.Code(err) != test.code || stayed != (test.stay || test.code != 0) {
				t.Errorf("%+v: ended with %v, by its context: %t", test, err, stayed)
			}
			cancel()
		}
		wrong := func(context.Context) (report.Status, error) { return report.Status{}, app.Usage("JOB") }
		if err := (watch{ask: wrong, show: never, every: watchInterval}).run(t.Context()); app.Code(err) != app.ExitUsage {
			t.Errorf("wrong settings ended with %v", err)
		}
	})
}

// TestPanel: each drawing replaces the one before, and never has more lines or columns
// than the terminal.
func TestPanel(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	width, height := 6, 4
	p := &panel{w: &out, size: func() (int, int) { return width, height }}
	for _, step := range []struct {
		width, height int
		text, want    string
	}{
		{6, 4, "one\n", "\r\x1b[Jone\n"},
		{6, 4, "a longer line\nü2345678\n", "\x1b[1A\r\x1b[Ja long\nü23456\n"},
		{6, 4, "1\n2\n3\n4\n5\n", "\x1b[2A\r\x1b[J1\n2\n… 3 mo\n"},
		{6, 9, "1\n2\n", "\x1b[3A\r\x1b[J1\n2\n"},
		{6, 9, "123456\n2\n", "\x1b[2A\r\x1b[J123456\n2\n"},
		{2, 9, "1\n", "\x1b[4A\r\x1b[J1\n"},
	} {
		out.Reset()
		width, height = step.width, step.height
		if err := p.draw(step.text); err != nil {
			t.Fatal(err)
		}
		if got := out.String(); got != step.want {
			t.Errorf("drew %q, want %q", got, step.want)
		}
	}
}

// TestSlowFirst: slow and silent mappers come first, however many mappers there are.
func TestSlowFirst(t *testing.T) {
	t.Parallel()
	s := statusOf(5, 0.5)
	s.Mappers = nil
	for i := range 40 {
		m := report.MapperStatus{Mapper: report.Mapper{Name: fmt.Sprintf("mapper-%d", i)}, State: report.MapperWorking, Slow: i == 37}
		if i == 39 {
			m.State = report.MapperSilent
		}
		s.Mappers = append(s.Mappers, m)
	}
	var out bytes.Buffer
	p := &panel{w: &out, size: func() (int, int) { return 100, 24 }}
	if err := p.show(s, nil); err != nil {
		t.Fatal(err)
	}
	text, last := out.String(), -1
	for _, name := range []string{"mapper-37 ", "mapper-39 ", "mapper-0 ", "mapper-1 ", "mapper-2 "} {
		at := strings.Index(text, name)
		if at <= last {
			t.Errorf("%s is at %d, after %d: %s", name, at, last, text)
		}
		last = at
	}
}

// TestPanelAway: while no fetcher answers, the last status stays, with the error.
func TestPanelAway(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	p := &panel{w: &out, size: func() (int, int) { return 200, 50 }}
	for i := range 3 {
		s := statusOf(5, 0.5)
		s.Job, s.Mappers[0].Name = "x", "evil\x1b[2J"
		out.Reset()
		if err := p.show(s, map[bool]error{true: errGone}[i == 1]); err != nil {
			t.Fatal(err)
		}
		if got := out.String(); !strings.Contains(got, "job x: running, 50.0 %") || strings.Contains(got, errGone.Error()) != (i == 1) || strings.Contains(got, "[2J") && strings.Contains(got, "l\x1b") {
			t.Errorf("step %d drew %q", i, got)
		}
		if up := fmt.Sprintf("\x1b[%dA", len(p.drawn)); i == 0 && strings.Contains(out.String(), up) {
			t.Errorf("moved up %d lines before anything was drawn", len(p.drawn))
		}
	}
}

// TestStay: --stay needs --watch.
func TestStay(t *testing.T) {
	t.Parallel()
	wantWords(t, must(t, 2, "status", "--stay").err.Error(), "--watch")
}
