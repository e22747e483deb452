//go:build browser

package browser

import (
	"net/http"
	"testing"

	"github.com/chromedp/chromedp/kb"

	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/test/proc"
)

// TestNoControl: without a token the page has no controls, and the fetcher
// accepts no order.
func TestNoControl(t *testing.T) {
	t.Parallel()
	j := startJob(t, proc.Users(t, t.TempDir(), 1000))
	b := open(t, j.fetcher.Address())
	b.await("a connection", connected)
	if eval[bool](b, shown("#controls")) {
		t.Error("controls are shown, although they are disabled")
	}
	for _, token := range []string{"", "guess"} {
		if code, text := j.order(token, `{"action":"pause"}`); code != http.StatusForbidden {
			t.Errorf("an order with the token %q: %d %q, want %d", token, code, text, http.StatusForbidden)
		}
	}
	if j.status().Paused {
		t.Error("the job is paused")
	}
}

// TestControl: a wrong token is refused and the page says so. With the right
// one the job is paused, resumed, slowed down and, after confirmation, cancelled.
func TestControl(t *testing.T) {
	t.Parallel()
	const token = "correct-horse"
	j := startJob(t, proc.Users(t, t.TempDir(), 20_000), "CONTROL_TOKEN="+token)
	for _, wrong := range []string{"", "correct", "correct-horse-battery"} {
		if code, text := j.order(wrong, `{"action":"pause"}`); code != http.StatusUnauthorized && code != http.StatusForbidden {
			t.Errorf("an order with the token %q: %d %q, want it refused", wrong, code, text)
		}
	}
	j.mapper("ada", "users?duration=2s") // so that the job is not done before it is cancelled
	b := open(t, j.fetcher.Address())
	b.await("controls", connected+` && `+shown("#controls"))

	b.enter("#token", "guess")
	b.click("#pause")
	b.await("the error about the wrong token", `/token/i.test(`+one("#control-answer")+`.innerText)`)
	if j.status().Paused {
		t.Fatal("a wrong token paused the job")
	}

	b.enter("#token", token)
	b.click("#pause")
	b.await("a pause", stateIs+`"paused"`)
	if !j.status().Paused {
		t.Error("the fetcher did not pause")
	}
	b.click("#resume")
	b.await("work", stateIs+`"running"`)
	b.enter("#rate-limit", "250")
	b.click("#set-rate")
	j.fetcher.AwaitStatus("a limit of 250 objects a second", func(s report.Status) bool { return s.RateLimit == 250 })

	b.click("#cancel")
	b.await("the question", shown("#sure"))
	b.press(kb.Escape)
	b.await("the question to go", `!`+shown("#sure"))
	b.click("#cancel")
	b.click("#sure button[value=no]")
	b.await("the question to go", `!`+shown("#sure"))
	if s := j.status(); s.State != report.StateRunning {
		t.Fatalf("the job is %s, although the question was not confirmed", s.State)
	}
	b.click("#cancel")
	b.click("#cancel-yes")
	if code := j.fetcher.Exit(); code != 1 {
		t.Errorf("the fetcher of a cancelled job exited with %d, want 1", code)
	}
}

// enter types text into an input, as a person would.
func (b *tab) enter(selector, text string) {
	b.t.Helper()
	eval[bool](b, `(e => (e.focus(), e.select(), true))(`+one(selector)+`)`)
	b.press(text)
}

// click clicks an element once it is visible and enabled.
func (b *tab) click(selector string) {
	b.t.Helper()
	b.await(selector+" to be operable", `(`+shown(selector)+` && !`+one(selector)+`.disabled)`)
	eval[bool](b, `(`+one(selector)+`.click(), true)`)
}
