//go:build browser

package browser

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/chromedp/chromedp"
)

// tools are what the tests need besides Go.
var tools struct {
	chromium string // path
	axe      string // axe.min.js
}

// findTools finds the tools. TestMain calls it before the programs are built, to fail early.
func findTools() error {
	for _, name := range []string{os.Getenv("CHROMIUM"), "chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil && name != "" {
			tools.chromium = path
			break
		}
	}
	if tools.chromium == "" {
		return errors.New("find a browser: there is no chromium; install it (on Debian: apt-get install chromium), or set CHROMIUM")
	}
	for _, path := range []string{os.Getenv("AXE"), filepath.Join("..", "..", "node_modules", "axe-core", "axe.min.js")} {
		if text, err := os.ReadFile(path); err == nil {
			tools.axe = string(text)
			return nil
		}
	}
	return errors.New("find axe.min.js: npm pack axe-core, unpack it, and set AXE to the file; .ci/browser does")
}

// launch starts the one browser of all tests when the first of them needs it.
var launch = sync.OnceValues(startChromium)

// launched reports whether the browser runs. It is read after the tests.
var launched bool

// chromium returns the browser's context, the parent of the tabs' contexts.
func chromium(t *testing.T) context.Context {
	t.Helper()
	ctx, err := launch()
	if err != nil {
		t.Fatal(err)
	}
	return ctx
}

func startChromium() (context.Context, error) {
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(tools.chromium),
		chromedp.Flag("hide-scrollbars", true),
		chromedp.Flag("disable-gpu", true),
	)
	if os.Geteuid() == 0 { // Chromium's sandbox does not start as root; only our own page is loaded
		options = append(options, chromedp.Flag("no-sandbox", true))
	}
	// The browser outlives the test that is the first to need it.
	allocator, _ := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, _ := chromedp.NewContext(allocator)
	if err := chromedp.Do(ctx); err != nil {
		return nil, fmt.Errorf("start %s: %w", tools.chromium, err)
	}
	launched = true
	return ctx, nil
}

// closeChromium ends the browser and waits for its end.
func closeChromium() {
	if !launched {
		return
	}
	ctx, err := launch()
	if err == nil {
		err = chromedp.Cancel(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, fmt.Errorf("end chromium: %w", err))
	}
}
