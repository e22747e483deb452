package fetcher_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/fetcher"
	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/internal/wire"
)

// next returns a request of a mapper that knows the plan.
func (b *bench) next(mapper string, seq uint64, held ...chunk.ID) wire.Next {
	n := next(mapper, seq, held...)
	n.Plan = b.Status().Plan
	return n
}

// TestLook: the lists and the map show the state of a job before and after a mapper vanishes.
func TestLook(t *testing.T) {
	run(t, 10, func(t *testing.T, b *bench) {
		b.wantWork(b.ask(next("m1", 1)), 0)
		b.wantWork(b.ask(next("m3", 1)), 1)
		pass(300 * time.Millisecond)
		states := func() (list []string) {
			for _, m := range b.Status().Mappers {
				list = append(list, m.Name+" "+string(m.State))
			}
			return list
		}
		if got := states(); !slices.Equal(got, []string{"m1 working", "m3 working"}) {
			t.Errorf("mappers %v", got)
		}
		m, err := b.Map(t.Context(), 0, 0, 3)
		want := []report.Cell{{InFlight: 2}, {Ready: 2}, {Ready: 1}}
		if err != nil || m.Total != 5 || m.Each != 2 || !slices.Equal(m.Cells, want) {
			t.Errorf("map %+v, %v; want two chunks a cell: %+v", m, err, want)
		}
		if m, err := b.Map(t.Context(), 1, 2, 3); err != nil || m.Each != 1 || !slices.Equal(m.Cells, []report.Cell{{InFlight: 1}}) {
			t.Errorf("map of chunk 1: %+v, %v", m, err)
		}
		c, err := b.Chunk(t.Context(), 1)
		if err != nil || c.State != "in_flight" || !slices.Equal(c.Mappers, []string{"m3"}) || c.First != 2 || c.Objects != 2 || c.Attempt != 1 || c.Seconds < 0.2 {
			t.Errorf("chunk 1 is %+v, %v", c, err)
		}
		if _, err := b.Chunk(t.Context(), 5); !errors.Is(err, fetcher.ErrNoChunk) {
			t.Errorf("chunk 5: %v, want %v", err, fetcher.ErrNoChunk)
		}

		for seq := uint64(2); seq < 8; seq++ { // m3 is gone: its pings have no responders
			pass(time.Second)
			b.beat("m1", seq, nil, 0)
		}
		s := b.Status()
		if len(s.Gone) != 1 || s.Gone[0].Name != "m3" || s.Gone[0].Lost != 1 || s.Gone[0].Why != "has no connection any more" || !slices.Equal(states(), []string{"m1 working"}) {
			t.Errorf("got the gone mappers %+v and the states %v", s.Gone, states())
		}
		if c, err := b.Chunk(t.Context(), 1); err != nil || c.State != "ready" || !slices.Equal(c.Lost, []string{"m3"}) || c.Attempt != 2 {
			t.Errorf("chunk 1 is %+v, %v; want it ready after m3 lost it", c, err)
		}
		if len(s.Stragglers) != 1 || s.Stragglers[0].Chunk != 0 || s.Stragglers[0].Mapper != "m1" || !s.Mappers[0].Slow {
			t.Errorf("stragglers %+v, mappers %+v; want chunk 0 at m1", s.Stragglers, s.Mappers)
		}
		h, err := b.History(t.Context())
		if err != nil || h.Seconds != 1 || len(h.Objects) < 7 || len(h.Objects) > 10 {
			t.Errorf("history %+v, %v", h, err)
		}
	})
}

// TestMapShare: a partly saved chunk counts as ready, and its cell has the share that is saved.
func TestMapShare(t *testing.T) {
	run(t, 10, func(t *testing.T, b *bench) {
		work := <-b.ask(next("m1", 1))
		part := wire.Saved{Plan: work.Plan, Epoch: work.Epoch, Pieces: []wire.SavedPiece{
			{Entry: wire.Entry{ID: 0, From: 1, Objects: 1, Of: 2, Digest: work.Grant[0].Digest}, Mapper: "m1"},
		}}
		if _, err := b.peer.Request(t.Context(), wire.VerbSaved, part.Encode(b.sink.Key())); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		m, err := b.Map(t.Context(), 0, 0, 3)
		want := []report.Cell{{Ready: 2, Share: 0.25}, {Ready: 2}, {Ready: 1}}
		if err != nil || !slices.Equal(m.Cells, want) {
			t.Errorf("map %+v, %v; want a quarter of the first two chunks saved: %+v", m, err, want)
		}
	})
}

// TestBottleneck: the status names the one cause that slows or stops the job.
func TestBottleneck(t *testing.T) {
	order := func(t *testing.T, b *bench, c wire.Control) {
		t.Helper()
		if err := b.Control(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	want := func(t *testing.T, b *bench, by report.Cause, text string) {
		t.Helper()
		pass(300 * time.Millisecond)
		held := b.Status().Bottleneck
		if held == nil {
			held = new(report.Bottleneck)
		}
		if held.Cause != by || !strings.Contains(held.Text, text) {
			t.Errorf("bottleneck %+v, want %s: %s", held, by, text)
		}
	}
	run(t, 10, func(t *testing.T, b *bench) {
		want(t, b, report.CauseNoMappers, "start some")
		b.beat("m1", 1, nil)
		want(t, b, report.CauseMappers, "the only mapper is idle and has no open request for work")
		b.wantWork(b.ask(b.next("m1", 2)), 0)
		want(t, b, report.CauseMappers, "the only mapper is busy")
		order(t, b, wire.Control{Action: wire.ControlPause})
		want(t, b, report.CausePause, "resume")
		order(t, b, wire.Control{Action: wire.ControlResume})
		order(t, b, wire.Control{Action: wire.ControlRate, Rate: 1e-3})
		b.wantWork(b.ask(b.next("m2", 1)), 1)
		b.ask(b.next("m2", 2, 1))
		want(t, b, report.CauseRate, "limit of 0.001 objects a second, with 1 worker waiting")
		order(t, b, wire.Control{Action: wire.ControlRate})
		seq := uint64(2)
		answerLoad := func(load report.SaverLoad) { // in the answer to the fetcher's next check of its epoch
			b.play(func() { b.load = load })
			for range 3 {
				seq++
				b.beat("m1", seq, nil, 0)
				b.beat("m2", seq, nil, 1, 2)
				pass(time.Second)
			}
		}
		answerLoad(report.SaverLoad{Queued: 30, CommitSeconds: 0.1, SyncSeconds: 0.08})
		want(t, b, report.CauseSaver, "30 results queued, a commit takes 100 ms, of which 80 ms are disk sync")
		answerLoad(report.SaverLoad{Queued: 30, CommitSeconds: 0.001})
		want(t, b, report.CauseMappers, "all 2 mappers are busy")
		b.wantWork(b.ask(b.next("m1", seq+1, 0)), 3)
		b.wantWork(b.ask(b.next("m1", seq+2, 0, 3)), 4)
		want(t, b, report.CauseEnd, "the last 5 chunks are being mapped")
		b.beat("m1", seq+3, nil, 0, 3, 4)
		b.beat("m2", seq+3, nil, 1, 2)
		pass(1300 * time.Millisecond)
		want(t, b, report.CauseStragglers, "waiting for the last 5 chunks: m1 has had chunk 0 for")
	})
}

// TestDeadLetters: the fetcher passes on the saver's page of dead letters, or its refusal.
func TestDeadLetters(t *testing.T) {
	run(t, 10, func(t *testing.T, b *bench) {
		page, err := b.Dead(t.Context(), 77, 5)
		if err != nil || len(page.Letters) != 1 || page.Letters[0].Ordinal != 5 || page.Before != 77 {
			t.Errorf("page %+v, %v", page, err)
		}
		if _, err := b.sink.Claim(t.Context(), b.claimed, "another"); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Dead(t.Context(), 77, 5); !errors.Is(err, fetcher.ErrFenced) {
			t.Errorf("a fenced fetcher got %v", err)
		}
	})
}
