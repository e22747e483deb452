package metrics

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"

	"github.com/chunkline/chunkline/internal/metrics"
	"github.com/chunkline/chunkline/internal/wire"
)

// resting has the series that do not move in this test, with the reason.
var resting = map[string]string{
	"fetcher chunkline_nats_slow_consumer_events_total": slow,
	"mapper chunkline_nats_slow_consumer_events_total":  slow,
	"saver chunkline_nats_slow_consumer_events_total":   slow,
	"fetcher chunkline_nats_async_errors_total":         slow,
	"mapper chunkline_nats_async_errors_total":          slow,
	"saver chunkline_nats_async_errors_total":           slow,

	"mapper chunkline_mapper_workers":                          "a setting",
	"mapper chunkline_mapper_results_total{outcome=duplicate}": "by chance: an answer must be lost, or a race; the saver's own count is provoked",
	"mapper chunkline_mapper_results_total{outcome=refused}":   "no correct mapper is refused; the saver's own count is provoked",
	"mapper chunkline_mapper_retries_total{transform=exec}":    retried,
	"mapper chunkline_mapper_retries_total{transform=http}":    retried,
	"saver chunkline_commit_results_total{outcome=conflict}":   "the source would have to change in the middle of the job",
	"saver chunkline_queued_results":                           "by chance: a small job's queue is empty as soon as it is filled",
	"saver chunkline_queued_bytes":                             "by chance, too",
}

const (
	slow    = "64 Ki messages would have to wait for one handler"
	retried = "the failures of the job's jq program are final; TestRetries of internal/mapper has a service that is down"
)

// TestAllMove: every metric of every role changes in a job that provokes every event
// that metrics report. A metric that never changes is useless.
func TestAllMove(t *testing.T) {
	t.Parallel()
	j := newJob(t)
	stdin, input := io.Pipe()
	j.fetcher(stdin)
	j.seen.look(t) // without a saver
	out := j.saver()
	objects := writer{t: t, to: input}

	// Two chunks, each held by two mappers that vanish, one after the other.
	objects.write(20)
	for range 2 {
		a, b := j.handmade("vanishing"), j.handmade("vanishing")
		a.take()
		b.take()
		j.chunks(2, 0)
		a.vanish()
		b.vanish()
		j.chunks(0, 2)
	}
	// Now both are handed out in careful mode. One kills a mapper that reported no
	// object, so all of it is dead-lettered. For the other the mapper reported the object.
	silent := j.handmade("silent")
	silent.take()
	j.chunks(1, 1)
	out.full.Store(true)
	silent.vanish()
	j.seen.reach(t, "fetcher chunkline_chunks{state=dead}", 1)
	out.full.Store(false)
	j.seen.reach(t, "fetcher chunkline_made_dead_letters_total{reason=attempts}", 9)
	careful := j.handmade("careful")
	careful.take()
	careful.beat(func(b *wire.Beat) { b.Doing = &wire.Doing{Chunk: careful.work.Grant[0].Chunk.ID, Index: 3} })
	j.chunks(1, 0)
	careful.vanish()
	j.chunks(0, 1)

	// One chunk is lost, then given back, then saved twice, and once sent with a wrong token.
	objects.write(10)
	j.chunks(0, 2) // so that this mapper gets the new one, and the real mapper the suspect one
	extra := j.handmade("extra")
	extra.take()
	extra.held = nil
	extra.beat(nil)
	quitter := j.handmade("quitter")
	quitter.take()
	quitter.beat(func(b *wire.Beat) { b.Goodbye, b.Held = true, nil })
	extra.take()
	if got := extra.save(func(s *wire.Save) { s.Results[0].Token = strings.Repeat("0", len(s.Results[0].Token)) }); got != wire.SaveRefused {
		t.Errorf("a wrong token: %s, want refused", got)
	}
	out.full.Store(true)
	if got := extra.save(nil); got != wire.SaveBusy {
		t.Errorf("a full sink: %s, want busy", got)
	}
	j.seen.reach(t, "saver chunkline_sink_full", 1)
	out.full.Store(false)
	for _, want := range []wire.SaveStatus{wire.SaveCommitted, wire.SaveDuplicate} {
		if got := extra.save(nil); got != want {
			t.Errorf("saved: %s, want %s", got, want)
		}
	}
	// Shadow results: first the same, then a different one.
	for _, change := range []func(*wire.Save){
		func(s *wire.Save) { s.Shadow = true },
		func(s *wire.Save) {
			s.Shadow, s.Results[0].Outputs = true, append([]byte("other"), s.Results[0].Outputs...)
		},
	} {
		if got := extra.save(change); got != wire.SaveDuplicate {
			t.Errorf("a shadow: %s, want duplicate", got)
		}
		j.seen.look(t)
	}
	extra.held = nil
	extra.beat(func(b *wire.Beat) { b.Draining = true })
	j.seen.reach(t, "fetcher chunkline_mappers{state=draining,version=handmade}", 1)

	// An idle mapper does a straggler's chunk instead; then NATS goes down and comes back.
	objects.write(10)
	straggler := j.handmade("straggler")
	straggler.take()
	stopMapper := j.mapper()
	objects.write(100)
	j.seen.reach(t, "mapper chunkline_made_dead_letters_total{reason=timeout}", 1)
	j.seen.await(t, "a backup attempt that wins", func(now func(string) float64) bool {
		straggler.beat(nil)
		return now("fetcher chunkline_backup_wins_total") > 0
	})
	j.server.Shutdown()
	j.seen.await(t, "nats is away", func(now func(string) float64) bool {
		return now("fetcher chunkline_nats_up")+now("mapper chunkline_nats_up")+now("saver chunkline_nats_up") == 0
	})
	j.serve()
	j.seen.await(t, "nats is back", func(now func(string) float64) bool {
		return now("fetcher chunkline_nats_up")+now("mapper chunkline_nats_up")+now("saver chunkline_nats_up") == 3
	})
	j.limit(5) // so that the job runs until the estimate is seen, for 40 s if necessary
	objects.write(200)
	if err := input.Close(); err != nil {
		t.Fatal(err)
	}
	j.seen.await(t, "an estimate", func(now func(string) float64) bool { return now("fetcher chunkline_eta_seconds") > 0 })
	j.seen.await(t, "a new round trip", func(func(string) float64) bool { return j.seen.moved["mapper chunkline_nats_round_trip_seconds"] })
	j.limit(0)
	j.seen.await(t, "the end", func(now func(string) float64) bool { return now("fetcher chunkline_done") == 1 })
	stopMapper()
	j.seen.look(t)

	for _, series := range j.seen.still() {
		if _, known := resting[series]; !known {
			t.Errorf("%s never changed", series)
		}
	}
	for series := range resting {
		if _, there := j.seen.first[series]; !there {
			t.Errorf("%q never existed: remove it from the list of unchanging series", series)
		}
	}
	j.allThere()
}

// chunks waits until these numbers of chunks are in flight and ready. The fetcher's report
// is a little late, so a test must wait for each step before it undoes it.
func (j *job) chunks(inFlight, ready float64) {
	j.t.Helper()
	j.seen.await(j.t, fmt.Sprintf("%g chunks in flight, %g ready", inFlight, ready), func(now func(string) float64) bool {
		return now("fetcher chunkline_chunks{state=in_flight}") == inFlight && now("fetcher chunkline_chunks{state=ready}") == ready
	})
}

// allThere checks that each declared metric was exported.
func (j *job) allThere() {
	for role, docs := range map[string][]metrics.Doc{"fetcher": roles()["fetcher"], "mapper": roles()["mapper"], "saver": roles()["saver"]} {
		for _, d := range docs {
			found := false
			for series := range j.seen.first {
				found = found || series == role+" "+d.Name || strings.HasPrefix(series, role+" "+d.Name+"{")
			}
			if !found {
				j.t.Errorf("%s %s is declared, but never existed", role, d.Name)
			}
		}
	}
}

// writer writes objects {"n": 0}, {"n": 1}, …; the third is not valid JSON, nor is
// the 104th, which the real mapper gets.
type writer struct {
	t    *testing.T
	to   io.Writer
	next int
}

func (w *writer) write(objects int) {
	w.t.Helper()
	var text strings.Builder
	for range objects {
		if w.next == 2 || w.next == 103 {
			text.WriteString("{\n")
		} else {
			fmt.Fprintf(&text, "{\"n\": %d}\n", w.next)
		}
		w.next++
	}
	if _, err := io.WriteString(w.to, text.String()); err != nil {
		w.t.Fatal(err)
	}
}

func prometheusText(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }
