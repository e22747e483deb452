package fetcher_test

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chunkline/chunkline/internal/fetcher"
	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/wire"
)

// progressLine is a log line about the progress.
type progressLine struct {
	Message  string  `json:"message"`
	State    string  `json:"state"`
	Objects  int     `json:"objects"`
	Dead     int     `json:"dead"`
	Percent  float64 `json:"percent"`
	Rate     float64 `json:"rate"`
	Left     string  `json:"left"`
	Mappers  int     `json:"mappers"`
	WaitsFor string  `json:"waits_for"`
}

// wantProgress compares the progress lines since its last call.
func (b *bench) wantProgress(when string, want ...progressLine) {
	b.t.Helper()
	synctest.Wait()
	var got []progressLine
	for line := range strings.SplitSeq(strings.TrimSpace(b.log.String()), "\n") {
		var p progressLine
		if err := json.Unmarshal([]byte(line), &p); line != "" && err != nil {
			b.t.Fatalf("%v: %s", err, line)
		}
		if strings.Contains(p.Message, "progress") {
			got = append(got, p)
		}
	}
	if news := got[b.progress:]; !slices.Equal(news, want) {
		b.t.Errorf("%s the log has the lines %+v, want %+v", when, news, want)
	}
	b.progress = len(got)
}

// TestProgressLog: the fetcher logs its progress every 10 s while objects are saved. Otherwise
// it logs once a minute what the job waits for, and nothing when the job is done.
func TestProgressLog(t *testing.T) {
	before := func(b *bench) { b.logsAlone = true }
	runAfter(t, 4, before, func(cfg *fetcher.Config) { cfg.OnDone = "stay" }, func(t *testing.T, b *bench) {
		m := &fakeMapper{b: b, mapper: "m3"} // does not answer pings
		pass(8 * time.Second)
		first, _ := got(m.ask())
		m.savedOf(first, 1, report.Summary{Chunks: 1, Objects: 2, Outputs: 1, Dead: 1})
		last, _ := got(m.ask())
		pass(time.Second)
		b.wantProgress("after 10 s", progressLine{Message: "progress", State: "running", Objects: 2, Dead: 1, Percent: 50, Rate: 0.2, Left: "10s", Mappers: 1})
		pass(59 * time.Second) // the mapper is silent, and soon gone
		b.wantProgress("after 69 s")
		pass(time.Second)
		standing := progressLine{Message: "no progress", State: "running", Objects: 2, Dead: 1, Percent: 50, WaitsFor: "no mapper is connected: start some"}
		b.wantProgress("after 70 s", standing)
		pass(59 * time.Second)
		b.wantProgress("after 129 s")
		pass(time.Second)
		b.wantProgress("after 130 s", standing)

		for _, w := range []wire.Work{first, last} {
			result := sink.Result{Chunk: only(w).Chunk.ID, Of: only(w).Chunk.Count, First: only(w).Chunk.First, Objects: only(w).Chunk.Count, Digest: only(w).Digest, Counts: make([]int, only(w).Chunk.Count)}
			if _, err := b.sink.Commit(t.Context(), []sink.Result{result}); err != nil {
				t.Fatal(err)
			}
		}
		m.savedOf(last, 0, report.Summary{Chunks: 2, Objects: 4, Outputs: 3, Dead: 1})
		pass(5 * time.Minute)
		if s := b.Status(); s.State != report.StateDone {
			t.Fatalf("the job is %s, want done", s.State)
		}
		b.wantProgress("after the end")
	})
}

// TestProgressLog_noSaver: a fetcher without an answer from a saver logs that once a minute.
func TestProgressLog_noSaver(t *testing.T) {
	before := func(b *bench) { b.logsAlone, b.noSaver = true, true }
	runAfter(t, 4, before, func(*fetcher.Config) {}, func(_ *testing.T, b *bench) {
		pass(58 * time.Second)
		b.wantProgress("after 59 s")
		pass(time.Second)
		b.wantProgress("after 60 s", progressLine{Message: "no progress", State: "starting", WaitsFor: "waiting for the saver, but none answers: start one with the same JOB"})
	})
}

// TestProgressLog_docs: the progress lines in docs/operations.md have the fields of logged ones, in the same order.
func TestProgressLog_docs(t *testing.T) {
	text, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	before := func(b *bench) { b.logsAlone = true }
	runAfter(t, 4, before, func(*fetcher.Config) {}, func(t *testing.T, b *bench) {
		m := &fakeMapper{b: b, mapper: "m3"}
		pass(8 * time.Second)
		first, _ := got(m.ask())
		m.savedOf(first, 0, report.Summary{Chunks: 1, Objects: 2, Outputs: 2})
		pass(2 * time.Minute)
		for _, message := range []string{"progress", "no progress"} {
			shown, logged := fieldsOf(string(text), message), fieldsOf(b.log.String(), message)
			for _, common := range []string{"version", "job", "role", "time"} { // the program adds them
				shown = slices.DeleteFunc(shown, func(f string) bool { return f == common })
			}
			if len(logged) == 0 || !slices.Equal(shown, logged) {
				t.Errorf("%q: docs/operations.md shows the fields %q, and %q are logged", message, shown, logged)
			}
		}
	})
}

// fieldsOf returns the fields of the first log line in a text that has this message.
func fieldsOf(text, message string) (fields []string) {
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, `{"level"`) || !strings.Contains(line, `"message":"`+message+`"`) {
			continue
		}
		for _, field := range regexp.MustCompile(`[{,]"(\w+)":`).FindAllStringSubmatch(line, -1) {
			fields = append(fields, field[1])
		}
		return fields
	}
	return nil
}

// TestProgressLog_off: without LogAlone there are no lines, because the program shows the progress itself.
func TestProgressLog_off(t *testing.T) {
	run(t, 4, func(_ *testing.T, b *bench) {
		pass(5 * time.Minute)
		b.wantProgress("after five minutes")
	})
}
