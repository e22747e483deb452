//go:build long

package hostile

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/internal/wire"
	"github.com/chunkline/chunkline/test/proc"
)

// busy starts a job whose only mapper always holds chunks, which the test lies about. Each chunk
// takes so long that the job cannot end before the attack. finish speeds up the rest.
func busy(t *testing.T, users int, each time.Duration) (j *job, fetcher, mapper *proc.Process) {
	t.Helper()
	j = newJob(t, users)
	j.listen()
	j.saver()
	fetcher = j.fetcher()
	mapper = j.mapper("mapper", "users?duration="+each.String(), "WORKERS=2")
	j.awaitAny("a beat with a chunk", func(m *nats.Msg) bool { return j.on(wire.VerbBeat)(m) && m.Header.Get("Chunkline-Held") != "" })
	return j, fetcher, mapper
}

// finish adds a fast mapper, waits for the end of the job and checks it.
func (j *job) finish(fetcher *proc.Process) {
	j.t.Helper()
	j.mapper("fast", "users")
	j.end(fetcher)
}

// wholeChunks returns the first n chunks of a job as pieces.
func wholeChunks(n int) []chunk.Piece {
	all := make([]chunk.Piece, n)
	for i := range all {
		all[i] = chunk.Whole(chunk.ID(i), 100)
	}
	return all
}

// lastBeat returns the last recorded heartbeat of the mapper.
func (j *job) lastBeat() wire.Beat {
	j.t.Helper()
	heard := j.record(j.on(wire.VerbBeat))
	last := heard[len(heard)-1]
	m := wire.Message{Header: wire.Header{}}
	for key, values := range last.Header {
		m.Header[key] = values[0]
	}
	b, err := wire.DecodeBeat(m)
	if err != nil {
		j.t.Fatal(err)
	}
	return b
}

// TestForgedSaved: without the key, an attacker cannot confirm a chunk. A replayed
// confirmation changes nothing.
func TestForgedSaved(t *testing.T) {
	t.Parallel()
	j, fetcher, _ := busy(t, 2000, 4*time.Second)
	true1 := j.await(wire.VerbSaved)
	work := j.lease()
	forged := wire.Saved{Plan: work.Plan, Epoch: work.Epoch}
	for id := range chunk.ID(20) {
		entry := wire.Entry{ID: id, Objects: 100, Of: 100, Digest: work.Grant[0].Digest}
		forged.Pieces = append(forged.Pieces, wire.SavedPiece{Entry: entry, Mapper: "x"})
	}
	unsigned := j.message(wire.VerbSaved, forged.Encode(make([]byte, 32)))
	unsigned.Header.Del("Chunkline-Signature")
	altered := marked(true1)
	altered.Header.Set("Chunkline-Epoch", "4611686018427387904") // would fence the fetcher
	other := marked(true1)
	other.Data[7] ^= 1 // another chunk
	other.Header.Set("Chunkline-Sum", sum(other.Data))
	forged.Epoch = 1 << 62
	j.say(unsigned, altered, other, j.message(wire.VerbSaved, forged.Encode([]byte("no key"))))
	for range 100 {
		j.say(marked(true1))
	}
	j.finish(fetcher)
}

// TestForgedOrders: a chunk that a mapper drops because of a forged order is mapped
// after all. On an open bus any client can order a drain: the mapper finishes what
// it holds and leaves, and no chunk is lost.
func TestForgedOrders(t *testing.T) {
	t.Parallel()
	j, fetcher, mapper := busy(t, 2000, 4*time.Second)
	beat := j.lastBeat()
	to := wire.VerbMapper(beat.Mapper.ID)
	for range 20 {
		for id := range chunk.ID(20) {
			for _, piece := range []chunk.Piece{chunk.Whole(id, 100), chunk.Whole(id, 1)} {
				j.say(j.message(to, wire.Order{Plan: beat.Plan, Kind: wire.OrderDrop, Piece: piece}.Encode()))
			}
		}
	}
	other := wire.Order{Plan: "00000000000000000000000000000000", Kind: wire.OrderDrop, Piece: chunk.Whole(1<<62, chunk.MaxSize), Epoch: 1 << 62}
	j.say(j.message(to, other.Encode()))
	j.ask(to, wire.Order{Plan: beat.Plan, Kind: wire.OrderDrain}.Encode())
	if code := mapper.Exit(); code != 0 {
		t.Errorf("drained mapper: exit %d, want 0: %s", code, mapper.Tail())
	}
	mapper.Start()
	j.finish(fetcher)
}

// TestForgedHellos: an idle mapper that receives ten thousand hellos, of this plan and others, of
// old and new epochs, sends at most one additional request a second, and the fetcher is not
// fenced by their epochs.
func TestForgedHellos(t *testing.T) {
	t.Parallel()
	j, fetcher, _ := busy(t, 2000, 4*time.Second)
	j.control(wire.ControlPause)
	proc.Eventually(t, "the workers to be idle", func() bool { return j.status().Chunks.InFlight == 0 })
	proc.Eventually(t, "the attacker to have heard all", func() bool {
		waiting, _, err := j.all.Pending()
		return err == nil && waiting == 0
	})
	plan := j.lastBeat().Plan
	begin := time.Now()
	before := len(j.record(j.on(wire.VerbNext)))
	for i := range uint64(floodMessages) {
		j.shout(
			j.message(wire.VerbHello, wire.Hello{Plan: plan, Epoch: i}.Encode()),
			j.message(wire.VerbHello, wire.Hello{Plan: "00000000000000000000000000000000", Epoch: 1<<62 - i}.Encode()),
		)
	}
	j.say()
	j.ask(wire.VerbMapper(j.lastBeat().Mapper.ID), wire.Order{Plan: plan, Kind: wire.OrderPing}.Encode()) // by then it has most
	asked, seconds := len(j.record(j.on(wire.VerbNext)))-before, int(time.Since(begin)/time.Second)+1
	if most := 2 * (2 + seconds + seconds/5); asked > most {
		t.Errorf("2 workers asked %d times within %d s, want at most %d", asked, seconds, most)
	}
	j.control(wire.ControlResume)
	j.finish(fetcher)
	if strings.Contains(fetcher.Log(), "taken over") {
		t.Errorf("a forged hello fenced the fetcher: %s", fetcher.Tail())
	}
}

// TestForgedBeats: forged heartbeats of a mapper cost its chunks another attempt,
// and at worst make the fetcher ignore the mapper. Another mapper does the job, and
// every chunk is saved once.
func TestForgedBeats(t *testing.T) {
	t.Parallel()
	j, fetcher, _ := busy(t, 3000, 4*time.Second)
	lie := func(change func(*wire.Beat)) {
		b := j.lastBeat()
		b.Seq++
		change(&b)
		j.say(j.message(wire.VerbBeat, b.Encode()))
	}
	all := wholeChunks(1 << 16)
	overlapping := make([]chunk.Piece, 1<<16) // 1<<8 pieces of each chunk, most of which overlap
	for i := range overlapping {
		overlapping[i] = chunk.Piece{Chunk: chunk.ID(i >> 8), From: i & 0xff, To: 1 + max(99, i&0xff)}
	}
	lie(func(b *wire.Beat) { b.Goodbye = true })
	lie(func(b *wire.Beat) { b.Held = nil })
	lie(func(b *wire.Beat) { b.Held = all })
	lie(func(b *wire.Beat) { b.Held = overlapping })
	lie(func(b *wire.Beat) {
		b.Held = []chunk.Piece{{To: 1}, {To: 2}, {From: 1, To: 100}, {From: 2, To: chunk.MaxSize}}
	})
	lie(func(b *wire.Beat) { b.Epoch = 1 << 62 })
	lie(func(b *wire.Beat) { b.Held = []chunk.Piece{chunk.Whole(1<<62, 1)} })
	lie(func(b *wire.Beat) { b.Doing = &wire.Doing{Chunk: 0, Index: 1} })
	lie(func(b *wire.Beat) { b.Plan = "00000000000000000000000000000000" })
	lie(func(b *wire.Beat) {
		b.Mapper = report.Mapper{ID: "A-b_9", Name: strings.Repeat("n", 256)}
		b.Held = all
	})
	ask := wire.Next{Plan: j.lastBeat().Plan, Mapper: self, Holding: wire.Holding{Seq: 1 << 62, Held: all}, Epoch: 1 << 62}
	for i := range uint64(1 << 16) {
		ask.Asking = append(ask.Asking, math.MaxInt64/4+i)
	}
	j.say(j.message(wire.VerbNext, ask.Encode()))
	lie(func(b *wire.Beat) { b.Seq = 1 << 62; b.Held = nil }) // from now on the fetcher ignores the mapper
	j.finish(fetcher)
	if strings.Contains(fetcher.Log(), "taken over") {
		t.Errorf("a forged heartbeat fenced the fetcher: %s", fetcher.Tail())
	}
}

// TestForgedSync: on an open bus any client can claim a job with the job's own plan,
// which ends its fetcher; the next fetcher continues. The saver refuses another plan,
// and does not finish a job before all of it is saved.
func TestForgedSync(t *testing.T) {
	t.Parallel()
	j, fetcher, _ := busy(t, 4000, 4*time.Second)
	claim := j.await(wire.VerbSync)
	j.await(wire.VerbSaved)      // the sink has something, so that totals of 0 are wrong
	j.control(wire.ControlPause) // and not all, until the fetcher is started again
	sync := func(q wire.Sync) wire.SyncAnswer {
		a, err := wire.DecodeSyncAnswer(j.ask(wire.VerbSync, q.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	want := func(what string, got wire.SyncAnswer, status wire.SyncStatus) {
		t.Helper()
		if got.Status != status {
			t.Errorf("%s: %s %s, want %s", what, got.Status, got.Reason, status)
		}
	}
	plan := j.lastBeat().Plan
	want("claim of another plan", sync(wire.Sync{Op: wire.SyncClaim, Fetcher: "x", Claim: &chunk.Plan{Source: "file:other"}}), wire.SyncOtherPlan)
	want("claim of no plan", sync(wire.Sync{Op: wire.SyncClaim, Fetcher: "x", Claim: &chunk.Plan{}}), wire.SyncOtherPlan)
	question := wire.Sync{Op: wire.SyncList, Plan: plan, Fetcher: "x", Epoch: 1 << 62, Limit: 1 << 20}
	want("list of a later epoch", sync(question), wire.SyncFenced)
	question.Plan = "00000000000000000000000000000000"
	want("list of another plan", sync(question), wire.SyncOtherPlan)

	// finish before the end of the job: with totals of 0, of the whole job, too large ones, those of the sink
	finish := wire.Sync{Op: wire.SyncFinish, Plan: plan, Fetcher: "x", Epoch: 1}
	held := j.status().Summary
	for _, total := range []wire.Totals{{}, {Chunks: 40, Objects: 4000}, {Chunks: math.MaxInt64, Objects: math.MaxInt64}} {
		finish.Total = total
		answer := sync(finish)
		for answer.Status == wire.SyncWorking {
			answer = sync(finish)
		}
		want("finish of what is not there", answer, wire.SyncFailed)
	}
	finish.Total = wire.Totals{Chunks: held.Chunks, Objects: held.Objects}
	sync(finish) // may be accepted at this moment; the fetcher's own finish comes later, and counts

	first := marked(claim)
	first.Header.Set("Chunkline-Fetcher", "attacker")
	j.say(first)
	if code := fetcher.Exit(); code != 1 || !strings.Contains(fetcher.Tail(), "another fetcher has taken over") {
		t.Errorf("fetcher after a forged claim: exit %d, want 1 and the reason: %s", code, fetcher.Tail())
	}
	fetcher.Start() // as a supervisor would
	j.finish(fetcher)
}
