//go:build browser

package browser

import (
	"bytes"
	"context"
	"fmt"
	"image/png"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"
)

// TestShots takes pictures of the page with all its features, for people to look at:
// running-light.png, running-dark.png, phone.png and done-wall.png, in the folder
// -screenshots.
func TestShots(t *testing.T) {
	t.Parallel()
	dir := *screenshots
	if dir == "" {
		dir = t.TempDir()
	} else if err := os.MkdirAll(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	const chunks = 400
	j := startJob(t, objects(t, chunks*100, func(i int) string {
		switch {
		case i%4700 == 2811:
			return bad
		case i == 10_000:
			return late // a straggler until the pictures are taken
		case i%100 == 50:
			return step
		}
		return good
	}), "CONTROL_TOKEN=open-sesame")
	b := open(t, j.fetcher.Address())
	b.await("a connection", connected)
	names := []string{"alba", "bruno", "carla", "dario", "elena", "fabio", "greta", "hugo"}
	for i, name := range names {
		j.mapper(name, work, append(j.takes("0.3"), []string{"VERSION=1.4.2", "VERSION=1.5.0"}[i%2])...)
	}
	j.mapper("slow-disk", work, j.takes("2")...)
	b.await("a third", fmt.Sprintf(`Number(%s.dataset.saved) > %d`, one("#map"), chunks/3))
	j.mappers["hugo"].Kill()
	b.await("dead letters, a straggler, a mapper that is gone", `Number(`+one("#map")+`.dataset.saved) > 200 &&
		document.querySelector("#stragglers tbody tr[data-chunk]") && document.querySelector("#dead-letters li") &&
		document.querySelector("#mappers tbody tr[data-state=gone]")`)
	b.shoot(dir, "running-light", tall)
	b.scheme("dark")
	b.shoot(dir, "running-dark", tall)
	b.scheme("light")
	b.shoot(dir, "phone", phone)
	j.release()
	b.await("the end", stateIs+`"done"`)
	b.scheme("dark")
	b.shoot(dir, "done-wall", wall)
}

// shoot takes a picture of what a screen shows of the page.
func (b *tab) shoot(dir, name string, s screen) {
	b.t.Helper()
	b.size(s)
	eval[bool](b, `new Promise(done => (scrollTo(0, 0), requestAnimationFrame(() => requestAnimationFrame(() => done(true)))))`) // waits until it is drawn
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	picture, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err != nil {
		b.t.Fatalf("take a picture: %v", err)
	}
	config, err := png.DecodeConfig(bytes.NewReader(picture))
	if err != nil || int64(config.Width) != s.width || int64(config.Height) != s.height {
		b.t.Errorf("%s is %d × %d (%v), want %d × %d", name, config.Width, config.Height, err, s.width, s.height)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), picture, 0o666); err != nil {
		b.t.Fatal(err)
	}
}
