package main

import (
	"bufio"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chunkline/chunkline/test/proc"
)

// TestDemoLingers: on a terminal the demo waits for Enter when somebody has opened its page,
// and the page is there meanwhile; nobody is waited for otherwise.
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
			c := command()
			c.SetArgs([]string{"demo", "-n", "5000", "--dir", filepath.Join(t.TempDir(), "demo")})
			c.SetIn(tty)
			c.SetOut(io.Discard)
			c.SetErr(tty)
			ended := make(chan error, 1)
			go func() { ended <- c.ExecuteContext(t.Context()) }()
			page := strings.TrimSpace(after(t, lines, "watch it at "))
			if opens {
				viewer, err := http.Get(page + "/api/events")
				if err != nil {
					t.Fatal(err)
				}
				defer viewer.Body.Close()
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
						t.Error("it waits for nobody")
					}
					said = after(t, lines, "")
				}
			}
		})
	}
}

// after returns what follows a text on its line.
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
				t.Fatalf("the terminal has closed before %q", text)
			}
		case <-patience:
			t.Fatalf("waited in vain for %q", text)
		}
	}
}
