//go:build browser

package browser

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chunkline/chunkline/internal/report"
)

// troubled is a job with every problem that the page shows: dead letters, a
// straggler with its backup, and a gone mapper.
type troubled struct {
	*job
	gone string // ID of the mapper that was killed
}

// startTroubled starts such a job of 6,000 objects. It cannot end before release.
func startTroubled(t *testing.T, settings ...string) *troubled {
	t.Helper()
	const n = 6000
	source := objects(t, n, func(i int) string {
		switch {
		case i == n-1:
			return late
		case i%500 == 7:
			return bad
		}
		return good
	})
	j := &troubled{job: startJob(t, source, settings...)}
	victim := j.mapper("victim", work, j.takes("0")...)
	j.gone = j.id("victim")
	j.fetcher.AwaitStatus("work of the victim", func(s report.Status) bool { return s.Chunks.Saved > 0 })
	victim.Kill()
	j.mapper("anna", work, j.takes("0")...)
	j.mapper("otto", work, j.takes("0")...)
	return j
}

// stuck is an expression that is true when the page shows all problems of a troubled job.
const stuck = `document.querySelectorAll("#stragglers tbody tr").length === 1 &&
	/anna/.test(document.querySelector("#stragglers tbody tr").innerText) && /otto/.test(document.querySelector("#stragglers tbody tr").innerText) &&
	document.querySelectorAll("#dead-letters li").length >= 12 &&
	document.querySelector("#mappers tbody tr[data-state=gone]")`

// TestFailures: the page shows dead letters with object, error and the retry command,
// and a straggler with the mappers that hold it and its backup.
func TestFailures(t *testing.T) {
	t.Parallel()
	j := startTroubled(t)
	b := open(t, j.fetcher.Address())
	b.await("straggler, backup, dead letters and the gone mapper", stuck)
	s := j.status()
	if len(s.Stragglers) != 1 || s.Stragglers[0].Chunk != 59 {
		t.Fatalf("stragglers are %+v, want chunk 59", s.Stragglers)
	}
	b.await("its row", one(`#stragglers tbody tr[data-chunk="59"]`))
	b.await("the slow mapper's mark", one(`#mappers tbody tr[data-slow="true"]`))
	if n := strings.TrimSpace(b.text("#dead-count")); !strings.HasPrefix(n, "12") {
		t.Errorf("%q dead letters, want 12", n)
	}
	letter := b.text("#dead-letters li")
	for _, want := range []string{"5507", `"n":5507`, "the user has no mail address"} { // the latest chunk comes first
		if !strings.Contains(letter, want) {
			t.Errorf("a dead letter is %q, want %s in it", letter, want)
		}
	}
	b.click("#dead-retry summary")
	if retry := b.text("#dead-retry"); !strings.Contains(retry, "chunkline dead retry") {
		t.Errorf("the text about retries is %q, want the command", retry)
	}
	b.await("the text about the bottleneck", one("#bottleneck")+`.innerText.includes("chunk 59")`)

	j.release()
	b.await("the end", stateIs+`"done"`)
	b.await("no straggler", `document.querySelectorAll("#stragglers tbody tr[data-chunk]").length === 0`)
	failed, _ := b.failures()
	if len(failed) > 0 {
		t.Errorf("failed requests: %q", failed)
	}
}

// TestOlder: a button loads older dead letters, page by page.
func TestOlder(t *testing.T) {
	t.Parallel()
	const n = 3000
	j := startJob(t, objects(t, n, func(i int) string {
		if i%3 == 0 {
			return bad
		}
		return good
	}))
	j.mapper("anna", work, j.takes("0")...)
	b := open(t, j.fetcher.Address())
	b.await("the end", stateIs+`"done" && `+shown("#dead-older")+` && document.querySelectorAll("#dead-letters li").length > 0`)
	const letters = `document.querySelectorAll("#dead-letters li").length`
	for shownOnes := eval[int](b, letters); shownOnes < n/3; shownOnes = eval[int](b, letters) {
		b.await("older ones", fmt.Sprintf("%s > %d || (%s.click(), false)", letters, shownOnes, one("#dead-older"))) // clicks while it loads have no effect
	}
	if got := eval[int](b, letters); got != n/3 {
		t.Errorf("got %d dead letters, want %d", got, n/3)
	}
	if eval[bool](b, shown("#dead-older")) {
		t.Error("the button for older dead letters is shown, but there are none")
	}
}
