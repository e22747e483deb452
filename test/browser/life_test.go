//go:build browser

package browser

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/test/proc"
)

// seen is what the page shows.
type seen struct {
	Job, State, Percent, Rate, ETA string
	Map, Throughput                string
	Updates                        int
}

func (s seen) json() string {
	text, err := json.Marshal(s)
	if err != nil {
		panic(err) // text and numbers always encode
	}
	return string(text)
}

const look = `({
	Job: document.querySelector("#job").innerText,
	State: document.querySelector("#state").innerText.toLowerCase(),
	Percent: document.querySelector("#percent").innerText,
	Rate: document.querySelector("#rate").innerText,
	ETA: document.querySelector("#eta").innerText,
	Map: JSON.stringify(document.querySelector("#map").dataset),
	Throughput: document.querySelector("#throughput").innerHTML,
	Updates: Number(document.documentElement.dataset.updates),
})`

const (
	connected    = `document.documentElement.dataset.connected === "true"`
	disconnected = `document.documentElement.dataset.connected === "false"`
	stateIs      = `document.querySelector("#state").innerText.toLowerCase() === `
)

// TestMoves: the page loads from the fetcher alone, without failed requests, shows
// the job, and updates every part while the job runs, until its end.
func TestMoves(t *testing.T) {
	t.Parallel()
	const chunks = 600 // a minute and a half for both mappers
	j := startJob(t, proc.Users(t, t.TempDir(), chunks*100))
	b := open(t, j.fetcher.Address())
	b.await("a connection", connected)
	if s := eval[seen](b, look); !strings.Contains(s.Job, j.Name) {
		t.Errorf("the job is called %q, want %s in it", s.Job, j.Name)
	}
	b.await("the text about the missing mapper", one("#bottleneck")+`.innerText.includes("o mapper is connected")`)
	j.mapper("ada", "users?duration=300ms")
	j.mapper("bob", "users?duration=300ms")
	b.await("work", stateIs+`"running" && Number(`+one("#map")+`.dataset.saved) > 0`)
	before := eval[seen](b, look)
	b.await("all parts of the page to change", `(now => {
		const before = `+before.json()+`;
		return ["Percent", "Rate", "ETA", "Map", "Throughput"].every(k => now[k] !== before[k]) && now.Updates > before.Updates;
	})(`+look+`)`)
	j.mapper("fast", "users")
	b.await("the end", stateIs+`"done"`)
	b.await("all chunks", fmt.Sprintf(`%s.dataset.saved === "%d"`, one("#map"), chunks))
	if s := eval[seen](b, look); !strings.HasPrefix(strings.TrimSpace(s.Percent), "100") {
		t.Errorf("the job is done: got %q, want 100 %%", s.Percent)
	}
	failed, requests := b.failures()
	if len(failed) > 0 || requests == 0 {
		t.Errorf("of %d requests these failed: %q", requests, failed)
	}
}

// TestGone: the page shows a killed mapper as gone with the first update after the
// fetcher knows, and its chunk is redelivered.
func TestGone(t *testing.T) {
	t.Parallel()
	j := startJob(t, proc.Users(t, t.TempDir(), 4000), "SPECULATE=false")
	victim := j.mapper("victim", "users?duration=1h")
	id := j.id("victim")
	b := open(t, j.fetcher.Address())
	b.await("the victim at work", one(row(id, string(report.MapperWorking))))
	j.mapper("other", "users?duration=100ms")
	b.await("the other mapper at work", `Number(`+one("#map")+`.dataset.saved) > 0`)
	killed := time.Now()
	victim.Kill()
	j.fetcher.AwaitStatus("the victim to be gone", func(s report.Status) bool {
		return slices.ContainsFunc(s.Gone, func(m report.GoneMapper) bool { return m.ID == id })
	})
	known := eval[seen](b, look).Updates
	b.await("the next update", fmt.Sprintf("(%s).Updates > %d", look, known+1)) // one may have been under way
	if !eval[bool](b, `!!`+one(row(id, "gone"))) {
		t.Error("the page does not show that the mapper is gone, but the fetcher knows it")
	}
	t.Logf("shown as gone %s after its kill", time.Since(killed).Round(10*time.Millisecond))
	b.await("the end", stateIs+`"done"`)
	if s := j.status(); s.Chunks.Saved != 40 || s.Chunks.Redelivered != 1 && j.fetcher.FellSilent() == 0 {
		t.Errorf("%d chunks were redelivered and %d are saved, want 1 and 40", s.Chunks.Redelivered, s.Chunks.Saved)
	}
}

// TestRestart: the page says that the fetcher does not answer, and continues by itself
// when another fetcher has the same address.
func TestRestart(t *testing.T) {
	t.Parallel()
	j := startJob(t, proc.Users(t, t.TempDir(), 6000))
	j.mapper("ada", "users?duration=200ms")
	b := open(t, j.fetcher.Address())
	b.await("work", connected+` && Number(`+one("#map")+`.dataset.saved) > 2`)
	eval[bool](b, `window.sameDocument = true`)
	j.fetcher.Kill()
	b.await("the notice that the page is offline", disconnected+` && `+shown("#offline"))
	if role := eval[string](b, one("#offline")+`.getAttribute("role")`); role != "alert" {
		t.Errorf("the banner has the role %q, want alert", role)
	}
	before := eval[seen](b, look)
	j.fetcher.Start()
	b.await("the page to go on", connected+` && !`+shown("#offline")+` && `+look+`.Updates > `+before.json()+`.Updates`)
	b.await("the end", stateIs+`"done" && `+one("#map")+`.dataset.saved === "60"`)
	if !eval[bool](b, `window.sameDocument === true`) {
		t.Error("the page was reloaded")
	}
}

// TestFrozen: the page notices a frozen fetcher, whose connections stay open, and its
// return.
func TestFrozen(t *testing.T) {
	t.Parallel()
	j := startJob(t, proc.Users(t, t.TempDir(), 1000))
	b := open(t, j.fetcher.Address())
	b.await("a connection", connected)
	j.fetcher.Stop()
	b.await("the notice that the page is offline", disconnected+` && `+shown("#offline"))
	j.fetcher.Signal(syscall.SIGCONT)
	b.await("the page to go on", connected+` && !`+shown("#offline"))
}
