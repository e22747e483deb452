//go:build browser

package browser

import (
	"strings"
	"testing"
)

// violation is one rule of axe that the page breaks.
type violation struct {
	ID, Help string
	Nodes    []string
}

// TestAxe: axe finds no violation on the page, light and dark, on a phone and on
// wall displays, while the job runs, when it is done, and without a fetcher. The page
// needs no horizontal scrolling, down to 320 pixels.
func TestAxe(t *testing.T) {
	t.Parallel()
	j := startTroubled(t, "CONTROL_TOKEN=open-sesame")
	b := open(t, j.fetcher.Address())
	if version := eval[string](b, tools.axe+"\n;axe.version"); version == "" {
		t.Fatal("axe has no version")
	}
	b.await("straggler, backup, dead letters and the gone mapper", stuck)
	b.checkAxe("running")
	b.size(desktop)
	b.click("#dead-retry summary")
	b.click("#cancel")
	b.await("the question", shown("#sure"))
	b.checkAxe("with a question")
	b.click("#sure button[value=no]")
	j.release()
	b.await("the end", stateIs+`"done"`)
	b.checkAxe("done")
	j.fetcher.Kill()
	b.await("the notice that the page is offline", disconnected+` && `+shown("#offline"))
	b.checkAxe("disconnected")
}

// checkAxe runs axe on the page, and checks its width, on several screens.
func (b *tab) checkAxe(state string) {
	b.t.Helper()
	for _, s := range []screen{phone, wall, wall4K} {
		b.size(s)
		for _, scheme := range []string{"light", "dark"} {
			b.scheme(scheme)
			for _, v := range eval[[]violation](b, `axe.run(document, {resultTypes: ["violations"]}).then(r => r.violations.map(v => ({
				ID: v.id, Help: v.help, Nodes: v.nodes.map(n => n.target.join(" ") + ": " + n.failureSummary),
			})))`) {
				b.t.Errorf("%s, %s, %s: %s: %s\n%s", state, s.name, scheme, v.ID, v.Help, strings.Join(v.Nodes, "\n"))
			}
		}
	}
	for _, s := range []screen{narrow, phone, wall, wall4K} {
		b.size(s)
		if wide := eval[int64](b, `document.documentElement.scrollWidth`); wide > s.width {
			b.t.Errorf("%s: the page is %d pixels wide, want at most %d: %q", state, wide, s.width, eval[[]string](b, `[...document.querySelectorAll("body *")]
				.filter(e => e.getBoundingClientRect().right > innerWidth + 1).slice(0, 5).map(e => e.outerHTML.slice(0, 100))`))
		}
	}
}
