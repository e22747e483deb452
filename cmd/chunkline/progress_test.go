package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/chunkline/chunkline/internal/report"
)

func statusOf(saved uint64, progress float64) report.Status {
	eta := 90.4
	return report.Status{
		State: report.StateRunning, Progress: progress, Rate: 1234.5, ETASeconds: &eta, Mappers: make([]report.MapperStatus, 1),
		Objects: report.ObjectCounts{Saved: saved},
	}
}

// TestProgressLines: without a terminal the first line is printed soon, and then one every 10 s.
func TestProgressLines(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		ctx, cancel := context.WithTimeout(t.Context(), 35*time.Second)
		defer cancel()
		begin := time.Now()
		showProgress(ctx, &screen{w: &out}, func() report.Status {
			seconds := uint64(time.Since(begin) / time.Second)
			return statusOf(seconds, float64(seconds)/100)
		})
		want := "  1 % of about 100 objects: 1 objects, 1234/s, 1m30s left, 1 mapper\n" +
			" 10 % of about 100 objects: 10 objects, 1234/s, 1m30s left, 1 mapper\n" +
			" 20 % of about 100 objects: 20 objects, 1234/s, 1m30s left, 1 mapper\n" +
			" 30 % of about 100 objects: 30 objects, 1234/s, 1m30s left, 1 mapper\n"
		if got := out.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// TestWaitingLines: why a job does not begin yet is printed at once, and then every 10 s.
func TestWaitingLines(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		note := showWaiting(&screen{w: &out})
		begin := time.Now()
		for time.Since(begin) < 25*time.Second {
			note(fmt.Errorf("open sink: %w", &pgconn.PgError{Code: "53300", Message: "too many\nclients"}))
			<-time.After(3 * time.Second)
		}
		note(nil)
		want := "waiting for the database (0s): too many clients\nwaiting for the database (12s): too many clients\nwaiting for the database (21s): too many clients\n"
		if got := out.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

func TestProgressLine(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(s *report.Status){
		" 50 % of 12 objects: 5 objects, 1234/s, 1m30s left, 2 mappers": func(s *report.Status) {
			s.Cut, s.Objects.Cut, s.Mappers = true, 12, make([]report.MapperStatus, 2)
		},
		"  0 % of the source: 0 objects, 0/s, waiting for mappers": func(s *report.Status) {
			*s = report.Status{State: report.StateRunning}
		},
	} {
		s := statusOf(5, 0.5)
		change(&s)
		if got := progressLine(s); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestDescribe(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(s *report.Status){
		"5 objects, 1234/s, 1m30s left":                        func(*report.Status) {},
		"5 objects, 1234/s":                                    func(s *report.Status) { s.ETASeconds = nil },
		"5 objects, 1234/s, 1m30s left, 3 dead":                func(s *report.Status) { s.Objects.Dead = 3 },
		"5 objects, 1234/s, 1m30s left, waiting for the saver": func(s *report.Status) { s.SaverAway = true },
		"5 objects, 1234/s, 1m30s left, waiting for mappers":   func(s *report.Status) { s.Mappers = nil },
		"5 objects, 1234/s, 1m30s left, 1 dead, waiting for the saver": func(s *report.Status) {
			s.Objects.Dead, s.SaverAway, s.Mappers = 1, true, nil
		},
	} {
		s := statusOf(5, 0.5)
		change(&s)
		if got := describe(s); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// TestBarLine: in any terminal the bar is one line, with the parts that fit.
func TestBarLine(t *testing.T) {
	t.Parallel()
	text := describe(statusOf(123456, 0.5))
	for width := range 150 {
		line := barLine(0.5, text, width)
		if len(line) > max(0, width) || strings.ContainsAny(line, "\n\r") {
			t.Errorf("%d columns: %q", width, line)
		}
		if width >= 60 && !strings.Contains(line, text) {
			t.Errorf("%d columns, and the text is cut: %q", width, line)
		}
		if width >= 6 && !strings.HasPrefix(line, " 50 % ") {
			t.Errorf("%d columns: %q", width, line)
		}
	}
	for want, got := range map[string]string{
		" 50 % |###############               | text": barLine(0.5, "text", 100),
		" 50 % |##   | text":                          barLine(0.5, "text", 18),
		" 50 % text":                                  barLine(0.5, "text", 17),
		" 50 % te":                                    barLine(0.5, "text", 8),
		" 99 % |##########| text":                     barLine(1, "text", 31),
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestScreen: other output replaces the bar, which is drawn again below it. A bar that
// wrapped because the terminal became narrower is cleared completely.
func TestScreen(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	width := 80
	s := &screen{w: &out, size: func() (int, int) { return width, 24 }}
	bar := strings.Repeat("#", 70)
	for _, step := range []struct {
		what  string
		width int
		do    func()
		want  string
	}{
		{"text without a bar", 80, func() { fmt.Fprintln(s, "begin") }, "begin\n"},
		{"nothing to clear", 80, s.clear, ""},
		{"the first bar", 80, func() { s.draw(bar) }, "\r" + bar + clearBelow},
		{"over it", 80, func() { s.draw(bar) }, "\r" + bar + clearBelow},
		{"a line", 80, func() { fmt.Fprintln(s, "a warning") }, "\r" + clearBelow + "a warning\n" + bar},
		{"a part of a line", 80, func() { fmt.Fprint(s, "a w") }, "\r" + clearBelow + "a w"},
		{"its rest", 80, func() { fmt.Fprintln(s, "arning") }, "arning\n"},
		{"the next bar", 80, func() { s.draw(bar) }, "\r" + bar + clearBelow},
		{"in two rows", 40, func() { s.draw("short") }, "\x1b[1A\rshort" + clearBelow},
		{"wider", 100, func() { s.draw(bar) }, "\r" + bar + clearBelow},
		{"a line over four rows", 20, func() { fmt.Fprintln(s, "x") }, "\x1b[3A\r" + clearBelow + "x\n" + bar},
		{"cleared", 70, s.clear, "\r" + clearBelow},
		{"cleared again", 70, s.clear, ""},
	} {
		out.Reset()
		width = step.width
		if step.do(); out.String() != step.want {
			t.Errorf("%s: %q, want %q", step.what, out.String(), step.want)
		}
	}
}

func TestCut(t *testing.T) {
	t.Parallel()
	for width, want := range map[int]string{-5: "", 0: "", 2: "ab", 3: "abc", 80: "abc"} {
		if got := cut("abc", width); got != want {
			t.Errorf("width %d: %q, want %q", width, got, want)
		}
	}
}

func TestSourceItem(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "x,[1]?"), "")
	for input, want := range map[string]string{
		"-":                                    "-",
		"a b.jsonl":                            "a b.jsonl",
		"data/*.jsonl":                         "data/*.jsonl",
		"a,b.jsonl":                            "file:a%2Cb.jsonl",
		"a,b.jsonl?format=lines":               "file:a%2Cb.jsonl?format=lines",
		"x.csv?types=a:int,b:int&delimiter= ":  "x.csv?types=a:int%2Cb:int&delimiter=%20",
		"a,b.csv?format=csv&types=a:int,b:int": "file:a%2Cb.csv?format=csv&types=a:int%2Cb:int",
		"50%,*.jsonl":                          "file:50%25%2C*.jsonl",
		"a,?":                                  "file:a%2C[^%00]",
		" a":                                   "file:%20a",
		"file:///a,b%20c":                      "file:///a%2Cb%20c",
		filepath.Join(dir, "x,[1]?"):           "file:" + dir + "/x%2C%5B1]%3F",
	} {
		if got := sourceItem(input); got != want {
			t.Errorf("%q: %q, want %q", input, got, want)
		}
	}
	if got, want := sourceSpec([]string{"a", "b,c", "s3://b/c d,e*?format=csv"}), "a,file:b%2Cc,s3://b/c%20d%2Ce*?format=csv"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestInputOfPlan: the source that a plan names can be opened again, or the error says why not.
func TestInputOfPlan(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"file:stdin": "file:stdin", "a,file:b%2Cc": "a,file:b%2Cc", "stdin": "-", "stdin?format=lines": "-",
		"cmd:cat a,stdin": "cmd:cat a,stdin", "cmd?format=csv:cat a": "cmd?format=csv:cat a",
	} {
		if got, err := inputOfPlan(name); err != nil || got != want {
			t.Errorf("%q: %q, %v; want %q", name, got, err, want)
		}
	}
	for name, want := range map[string]string{
		"stdin": "auto", "a,b?format=lines": "auto", "a?format=lines,b": "auto", "a?format=lines,b?format=array": "auto",
		"a?format=lines,b?format=lines": "lines", "a?format=values and 9 more files (sha256 of all names: 0)": "values", "file:a%3Fformat=lines": "auto",
		"cmd:cat ?format=lines": "auto", "cmd?format=csv&types=a%3Aint%2Cb%3Aint:cat a,b": "csv&types=a:int%2Cb:int",
		"s3://b/k?etag=1-2&format=csv&types=a:int,s3://b/l?etag=3&format=csv&types=a:int": "csv&types=a:int", "s3://b/k?etag=1 and 9 more files (sha256 of all names: 0)": "auto",
		"a?format=csv&types=a:int%2Cb:int,b?format=csv&types=a:int%2Cb:int": "csv&types=a:int%2Cb:int",
	} {
		if got := formatOfPlan(name); got != want {
			t.Errorf("%q: %q; want %q", name, got, want)
		}
	}
	dir := t.TempDir()
	for i := range 100 {
		write(t, filepath.Join(dir, fmt.Sprintf("%0100d", i)), "1\n")
	}
	out := filepath.Join(dir, "out")
	must(t, 0, "run", "-i", filepath.Join(dir, "0*"), "-o", out, "-m", ".")
	wantWords(t, must(t, 2, "verify", "-o", out).err.Error(), "--input is not set", "more files")
	must(t, 0, "verify", "-o", out, "-i", filepath.Join(dir, "0*"))
}

// TestFd: a screen has the descriptor of its file, and is a terminal only if the file is one.
func TestFd(t *testing.T) {
	t.Parallel()
	file, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	if got := (&screen{w: file}).Fd(); got != file.Fd() {
		t.Errorf("Fd %d, want %d", got, file.Fd())
	}
	if width, _ := (&screen{w: new(bytes.Buffer)}).columns(); width != 80 {
		t.Errorf("width %d without a terminal, want 80", width)
	}
}
