//go:build browser

package browser

import (
	"fmt"
	"slices"
	"testing"

	"github.com/chromedp/chromedp/kb"
)

// focused is the element that has the focus, and whether the focus is visible.
type focused struct {
	Index   int // among operable; -1: none of them
	Name    string
	Visible bool
}

// operable is an expression: the elements that a mouse could operate. It ignores that
// Tab reaches only one of several radio buttons of a name, since the page has none.
const operable = `[...document.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex], [onclick]")]
	.filter(e => !e.disabled && e.tabIndex >= 0 && e.checkVisibility({visibilityProperty: true}) && e.getClientRects().length > 0)`

// looks is a JavaScript function: the styles of an element that may show the focus.
const looks = `(e => (s => [s.outlineStyle === "none" ? "" : s.outlineWidth + s.outlineColor, s.boxShadow, s.borderColor, s.backgroundColor].join())(getComputedStyle(e)))`

// TestKeyboard: Tab reaches every operable element, and each shows that it has the
// focus. Arrow keys move the cursor on the map, which describes what is under it.
func TestKeyboard(t *testing.T) {
	t.Parallel()
	j := startTroubled(t, "CONTROL_TOKEN=open-sesame")
	b := open(t, j.fetcher.Address())
	b.await("straggler, backup, dead letters and the gone mapper", stuck+` && `+shown("#controls"))

	names := eval[[]string](b, `(window.operable = `+operable+`, window.before = operable.map(`+looks+`),
		operable.map(e => e.id || e.outerHTML.slice(0, 80)))`)
	if !slices.Contains(names, "map") || !slices.Contains(names, "pause") || !slices.Contains(names, "mapper-filter") {
		t.Fatalf("operable elements: got %q, want map, pause and mapper-filter among them", names)
	}
	reached := make([]bool, len(names))
	for range 2 * len(names) {
		b.press(kb.Tab)
		f := eval[focused](b, `(e => (i => ({Index: i, Name: e.id || e.outerHTML.slice(0, 80),
			Visible: i >= 0 && `+looks+`(e) !== before[i]}))(operable.indexOf(e)))(document.activeElement)`)
		if f.Index < 0 {
			continue // the document itself, between the last one and the first
		}
		if !f.Visible && !reached[f.Index] {
			t.Errorf("%s has the focus, but does not show it", f.Name)
		}
		reached[f.Index] = true
	}
	for i, name := range names {
		if !reached[i] {
			t.Errorf("%s is not reached by Tab", name)
		}
	}

	eval[bool](b, `(`+one("#map")+`.focus(), true)`)
	const about = `document.querySelector("#map-about").innerText`
	if live := eval[string](b, one("#map-about")+`.getAttribute("aria-live")`); live != "polite" {
		t.Errorf("the description of the map has aria-live %q, want polite", live)
	}
	b.press(kb.ArrowRight)
	for _, key := range []struct{ name, code string }{
		{"right", kb.ArrowRight}, {"right", kb.ArrowRight}, {"left", kb.ArrowLeft}, {"down", kb.ArrowDown}, {"up", kb.ArrowUp},
	} {
		before := eval[string](b, about)
		b.press(key.code)
		b.await("another description of the map after an arrow "+key.name, about+` !== `+quote(before))
	}
}

// TestZoom: a map of more chunks than cells is zoomed in by Enter and out by Escape.
func TestZoom(t *testing.T) {
	t.Parallel()
	const chunks = 5000
	j := startJob(t, objects(t, chunks, func(int) string { return good }), "CHUNK_SIZE=1")
	j.mapper("ada", "identity", "WORKERS=8")
	b := open(t, j.fetcher.Address())
	b.size(phone)
	const saved = `document.querySelector("#map").dataset.saved`
	b.await("a map of all chunks", fmt.Sprintf(`%s"done" && %s.dataset.saved === "%d"`, stateIs, one("#map"), chunks))
	if eval[bool](b, shown("#map-out")) {
		t.Error("the whole map has a button to zoom out")
	}
	eval[bool](b, `(`+one("#map")+`.focus(), true)`)
	b.press(kb.ArrowRight)
	b.press(kb.Enter)
	b.await("the map to zoom in", shown("#map-out")+` && Number(`+saved+`) < 10`)
	b.press(kb.Escape)
	b.await("the map to zoom out", fmt.Sprintf(`!%s && %s === "%d"`, shown("#map-out"), saved, chunks))
}
