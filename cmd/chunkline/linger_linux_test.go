package main

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/test/proc"
)

// TestDemoLingers: on a terminal the demo waits for Enter if its page was opened, and
// serves the page meanwhile. Otherwise it does not wait.
func TestDemoLingers(t *testing.T) {
	t.Parallel()
	for name, opens := range map[string]bool{"opened": true, "not opened": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tty, behind := proc.Terminal(t)
			lines := make(chan string, 1000)
			go func() {
				defer close(lines)
				for scan := bufio.NewScanner(behind); scan.Scan(); {
					lines <- scan.Text()
				}
			}()
			dir := t.TempDir()
			users := usersFrom(t, dir)
			c := command()
			c.SetArgs([]string{"demo", "-n", "200", "--dir", dir})
			c.SetIn(tty)
			c.SetOut(io.Discard)
			c.SetErr(tty)
			ended := make(chan error, 1)
			go func() { ended <- c.ExecuteContext(t.Context()) }()
			begin, end := users()
			begin()
			page := strings.TrimSpace(after(t, lines, "watch it at "))
			if opens {
				viewer, err := http.Get(page + "/api/events")
				if err != nil {
					t.Fatal(err)
				}
				defer viewer.Body.Close()
			}
			eventually(t, "the first chunk", func() bool { return savedAt(t, page) >= 100 })
			end()
			if opens {
				after(t, lines, "press Enter to exit")
				again, err := http.Get(page)
				if err != nil {
					t.Fatalf("the page is gone while the demo waits: %v", err)
				}
				again.Body.Close()
				if _, err := io.WriteString(behind, "\n"); err != nil {
					t.Fatal(err)
				}
			}
			select {
			case err := <-ended:
				if err != nil {
					t.Errorf("ended with %v", err)
				}
			case <-time.After(2 * time.Minute):
				t.Fatal("the demo does not end")
			}
			if _, err := io.WriteString(tty, "the end\n"); err != nil {
				t.Fatal(err)
			}
			if said := after(t, lines, ""); !opens {
				for !strings.Contains(said, "the end") {
					if strings.Contains(said, "press Enter") {
						t.Error("the demo waits without a viewer")
					}
					said = after(t, lines, "")
				}
			}
		})
	}
}

// usersFrom makes a demo's file of users a pipe, so that the test controls the end of the
// job: users reads all of them, begin passes on the first half, and end the rest.
func usersFrom(t *testing.T, dir string) (users func() (begin, end func())) {
	t.Helper()
	path := filepath.Join(dir, "users.jsonl")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	pipe, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pipe.Close() })
	return func() (begin, end func()) {
		t.Helper()
		in := bufio.NewReader(pipe)
		var halves [2]strings.Builder
		for i := range 200 {
			line, err := in.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			halves[i/100].WriteString(line)
		}
		pass := func(half int) {
			t.Helper()
			if _, err := io.WriteString(pipe, halves[half].String()); err != nil {
				t.Fatal(err)
			}
		}
		return func() { pass(0) }, func() { pass(1); _ = pipe.Close() }
	}
}

// savedAt returns the number of saved objects according to a live page.
func savedAt(t *testing.T, page string) uint64 {
	t.Helper()
	response, err := http.Get(page + "/api/status")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var s report.Status
	if err := json.NewDecoder(response.Body).Decode(&s); err != nil {
		t.Fatal(err)
	}
	return s.Objects.Saved
}

// after returns the text that follows another one on its line.
func after(t *testing.T, lines <-chan string, text string) string {
	t.Helper()
	patience := time.After(2 * time.Minute)
	for {
		select {
		case line, open := <-lines:
			if _, rest, found := strings.Cut(line, text); found {
				return rest
			}
			if !open {
				t.Fatalf("the terminal closed before %q", text)
			}
		case <-patience:
			t.Fatalf("timed out waiting for %q", text)
		}
	}
}
