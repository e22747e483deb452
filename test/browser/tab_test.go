//go:build browser

package browser

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/chunkline/chunkline/test/proc"
)

// patience bounds the wait for anything that must happen.
const patience = proc.Patience

// tab is one tab of the browser, in a profile of its own.
type tab struct {
	t      *testing.T
	ctx    context.Context
	cancel context.CancelFunc
	origin string // of the page
	closed bool

	mu       sync.Mutex
	console  []string // guarded by mu; errors and warnings of the page's own code
	failed   []string // guarded by mu; requests that failed, and the browser's messages about them
	foreign  []string // guarded by mu; requests to another origin
	requests int      // guarded by mu
}

// open opens the page of a fetcher. The test's cleanup closes the tab, and fails
// if the page's own code logged a problem or requested something from another origin.
func open(t *testing.T, address string) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(chromium(t), chromedp.WithNewBrowserContext())
	b := &tab{t: t, ctx: ctx, origin: "http://" + address + "/"}
	b.cancel = cancel
	t.Cleanup(b.close)
	if err := chromedp.Listen(ctx, b.hear); err != nil {
		t.Fatal(err)
	}
	b.do("watch the tab", func(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, target, network.Enable, network.EnableParams{})
		if err == nil {
			_, err = cdp.Call(ctx, target, cdplog.Enable, cdp.Empty{})
		}
		return chromedp.Void{}, err
	})
	b.size(desktop)
	b.scheme("light")
	b.do("open "+b.origin, chromedp.Navigate(b.origin))
	return b
}

// close closes the tab, once.
func (b *tab) close() {
	b.t.Helper()
	if b.closed {
		return
	}
	b.closed = true
	b.mu.Lock()
	console, foreign, failed, requests := b.console, b.foreign, b.failed, b.requests
	b.mu.Unlock()
	if b.t.Failed() {
		b.t.Logf("the page: %s", eval[string](b, `document.documentElement.innerText`))
		b.t.Logf("%d requests; without a good answer: %q", requests, failed)
	}
	b.cancel()
	if len(console)+len(foreign) > 0 {
		b.t.Errorf("console: %q; requests to others: %q", console, foreign)
	}
}

// hear records requests and problems of the page.
func (b *tab) hear(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *runtime.EventConsoleAPICalled:
		if e.Type == "error" || e.Type == "warning" || e.Type == "assert" {
			b.console = append(b.console, fmt.Sprintf("%s: %s", e.Type, words(e.Args)))
		}
	case *runtime.EventExceptionThrown:
		text := e.ExceptionDetails.Text
		if x := e.ExceptionDetails.Exception; x != nil {
			text += " " + x.Description
		}
		b.console = append(b.console, text)
	case *cdplog.EventEntryAdded:
		switch entry := e.Entry; {
		case entry.Level != cdplog.EntryLevelError && entry.Level != cdplog.EntryLevelWarning:
		case entry.Source == cdplog.EntrySourceNetwork:
			b.failed = append(b.failed, entry.URL+": "+entry.Text)
		default:
			b.console = append(b.console, fmt.Sprintf("%s: %s", entry.Source, entry.Text))
		}
	case *network.EventRequestWillBeSent:
		b.requests++
		if url := e.Request.URL; !strings.HasPrefix(url, b.origin) && !strings.HasPrefix(url, "data:") {
			b.foreign = append(b.foreign, url)
		}
	case *network.EventLoadingFailed:
		if !e.Canceled {
			b.failed = append(b.failed, fmt.Sprintf("%s: %s", e.Type, e.ErrorText))
		}
	case *network.EventResponseReceived:
		if e.Response.Status >= 400 {
			b.failed = append(b.failed, fmt.Sprintf("%s: %d", e.Response.URL, e.Response.Status))
		}
	}
}

func words(args []*runtime.RemoteObject) string {
	var text []string
	for _, arg := range args {
		if text = append(text, string(arg.Value)); len(arg.Value) == 0 {
			text[len(text)-1] = arg.Description
		}
	}
	return strings.Join(text, " ")
}

// failures returns the requests that have failed so far, and the number of all requests.
func (b *tab) failures() (failed []string, requests int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.failed, b.requests
}

// do runs an action, or fails the test.
func (b *tab) do(what string, a chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, a); err != nil {
		b.t.Fatalf("%s: %v", what, err)
	}
}

// eval returns the value of a JavaScript expression, or of its promise.
func eval[T any](b *tab, expression string) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatalf("evaluate %.200s: %v", expression, err)
	}
	return v
}

// await polls until an expression is true.
func (b *tab) await(what, expression string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !eval[bool](b, `!!(`+expression+`)`) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			b.t.Fatalf("timed out waiting for %s: %s", what, expression)
		}
	}
}

// text returns the visible text of an element; "" if it is not shown.
func (b *tab) text(selector string) string {
	b.t.Helper()
	return eval[string](b, `(e => e && e.checkVisibility() ? e.innerText : "")(`+one(selector)+`)`)
}

// one returns the expression of the first element that a selector finds.
func one(selector string) string { return `document.querySelector(` + quote(selector) + `)` }

func quote(text string) string {
	quoted, err := json.Marshal(text)
	if err != nil {
		panic(err) // a string always encodes
	}
	return string(quoted)
}

// shown returns an expression that is true if the element exists and is visible.
func shown(selector string) string {
	return `(e => e && e.checkVisibility({opacityProperty: true, visibilityProperty: true}) && e.getClientRects().length > 0)(` + one(selector) + `)`
}

// screen is a size in CSS pixels.
type screen struct {
	name          string
	width, height int64
}

var (
	desktop = screen{"desktop", 1280, 800}
	tall    = screen{"tall", 1400, 1200} // for pictures: most of the page
	phone   = screen{"phone", 390, 844}
	narrow  = screen{"narrow", 320, 640}
	wall    = screen{"wall", 1920, 1080}
	wall4K  = screen{"wall4k", 3840, 2160}
)

func (b *tab) size(s screen) {
	b.t.Helper()
	b.do("resize", chromedp.EmulateViewport(s.width, s.height))
}

// scheme sets the preferred colours, light or dark. It also turns off animations, so
// that axe measures final colours.
func (b *tab) scheme(name string) {
	b.t.Helper()
	b.do("prefer "+name, func(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, target, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
			{Name: "prefers-color-scheme", Value: name}, {Name: "prefers-reduced-motion", Value: "reduce"},
		}})
		return chromedp.Void{}, err
	})
}

// press types keys into the element with the focus.
func (b *tab) press(keys string, options ...chromedp.KeyOption) {
	b.t.Helper()
	b.do("press a key", chromedp.KeyEvent(keys, options...))
}
