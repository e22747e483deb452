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

// busy starts a job whose only mapper holds chunks all the time, to be lied about, each
// for so long that the job cannot end before the test has struck. finish ends it sooner.
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

// finish adds a mapper that does the rest in a moment, and judges.
func (j *job) finish(fetcher *proc.Process) {
	j.t.Helper()
	j.mapper("fast", "users")
	j.end(fetcher)
}

// wholeChunks are the first n chunks of a job.
func wholeChunks(n int) []chunk.Piece {
	all := make([]chunk.Piece, n)
	for i := range all {
		all[i] = chunk.Whole(chunk.ID(i), 100)
	}
	return all
}

// victim is the mapper as it named itself last.
func (j *job) victim() wire.Beat {
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

// TestForgedSaved: whoever has no key confirms nothing. A true confirmation
// that is played back says what was true before.
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
	altered.Header.Set("Chunkline-Epoch", "4611686018427387904") // the fetcher would believe itself fenced
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

// TestForgedOrders: a chunk that a mapper was told to drop, by nobody who may,
// is mapped after all. A drain is the one order that an open bus lets anybody
// give: the mapper finishes what it holds and leaves, and nothing is lost.
func TestForgedOrders(t *testing.T) {
	t.Parallel()
	j, fetcher, mapper := busy(t, 2000, 4*time.Second)
	victim := j.victim()
	to := wire.VerbMapper(victim.Mapper.ID)
	for range 20 {
		for id := range chunk.ID(20) {
			for _, piece := range []chunk.Piece{chunk.Whole(id, 100), chunk.Whole(id, 1)} {
				j.say(j.message(to, wire.Order{Plan: victim.Plan, Kind: wire.OrderDrop, Piece: piece}.Encode()))
			}
		}
	}
	other := wire.Order{Plan: "00000000000000000000000000000000", Kind: wire.OrderDrop, Piece: chunk.Whole(1<<62, chunk.MaxSize), Epoch: 1 << 62}
	j.say(j.message(to, other.Encode()))
	j.ask(to, wire.Order{Plan: victim.Plan, Kind: wire.OrderDrain}.Encode())
	if code := mapper.Exit(); code != 0 {
		t.Errorf("drained mapper: exit %d, want 0: %s", code, mapper.Tail())
	}
	mapper.Start()
	j.finish(fetcher)
}

// TestForgedHellos: an idle mapper that hears ten thousand hellos, of this job and others, of
// old and of new epochs, asks once more a second; the one that works goes on, and the
// fetcher hears of no newer epoch.
func TestForgedHellos(t *testing.T) {
	t.Parallel()
	j, fetcher, _ := busy(t, 2000, 4*time.Second)
	j.control(wire.ControlPause)
	proc.Eventually(t, "the workers to be idle", func() bool { return j.status().Chunks.InFlight == 0 })
	proc.Eventually(t, "the attacker to have heard all", func() bool {
		waiting, _, err := j.all.Pending()
		return err == nil && waiting == 0
	})
	plan := j.victim().Plan
	begin := time.Now()
	before := len(j.record(j.on(wire.VerbNext)))
	for i := range uint64(floodMessages) {
		j.shout(
			j.message(wire.VerbHello, wire.Hello{Plan: plan, Epoch: i}.Encode()),
			j.message(wire.VerbHello, wire.Hello{Plan: "00000000000000000000000000000000", Epoch: 1<<62 - i}.Encode()),
		)
	}
	j.say()
	j.ask(wire.VerbMapper(j.victim().Mapper.ID), wire.Order{Plan: plan, Kind: wire.OrderPing}.Encode()) // by then it has heard most
	asked, seconds := len(j.record(j.on(wire.VerbNext)))-before, int(time.Since(begin)/time.Second)+1
	if most := 2 * (2 + seconds + seconds/5); asked > most {
		t.Errorf("2 workers asked %d times within %d s, want %d times at most", asked, seconds, most)
	}
	j.control(wire.ControlResume)
	j.finish(fetcher)
	if strings.Contains(fetcher.Log(), "taken over") {
		t.Errorf("the fetcher took a hello's word for being fenced: %s", fetcher.Tail())
	}
}

// TestForgedBeats: lies in a mapper's name cost its chunks another attempt,
// and mute it at worst; another mapper does the job, and every chunk is there
// once.
func TestForgedBeats(t *testing.T) {
	t.Parallel()
	j, fetcher, _ := busy(t, 3000, 4*time.Second)
	lie := func(change func(*wire.Beat)) {
		b := j.victim()
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
	ask := wire.Next{Plan: j.victim().Plan, Mapper: self, Holding: wire.Holding{Seq: 1 << 62, Held: all}, Epoch: 1 << 62}
	for i := range uint64(1 << 16) {
		ask.Asking = append(ask.Asking, math.MaxInt64/4+i)
	}
	j.say(j.message(wire.VerbNext, ask.Encode()))
	lie(func(b *wire.Beat) { b.Seq = 1 << 62; b.Held = nil }) // from now on the mapper is not heard
	j.finish(fetcher)
	if strings.Contains(fetcher.Log(), "taken over") {
		t.Errorf("the fetcher took a beat's word for being fenced: %s", fetcher.Tail())
	}
}

// TestForgedSync: on an open bus anybody can claim a job by its own plan, which
// ends the fetcher that had it; the next one goes on. Another plan is refused,
// and the saver calls nothing finished that is not there.
func TestForgedSync(t *testing.T) {
	t.Parallel()
	j, fetcher, _ := busy(t, 4000, 4*time.Second)
	claim := j.await(wire.VerbSync)
	j.await(wire.VerbSaved)      // something is in the sink: nothing is not all
	j.control(wire.ControlPause) // and not all of it, until the fetcher is started again
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
	plan := j.victim().Plan
	want("claim of another plan", sync(wire.Sync{Op: wire.SyncClaim, Fetcher: "x", Claim: &chunk.Plan{Source: "file:other"}}), wire.SyncOtherPlan)
	want("claim of no plan", sync(wire.Sync{Op: wire.SyncClaim, Fetcher: "x", Claim: &chunk.Plan{}}), wire.SyncOtherPlan)
	question := wire.Sync{Op: wire.SyncList, Plan: plan, Fetcher: "x", Epoch: 1 << 62, Limit: 1 << 20}
	want("list of a later epoch", sync(question), wire.SyncFenced)
	question.Plan = "00000000000000000000000000000000"
	want("list of another plan", sync(question), wire.SyncOtherPlan)

	// finish, before the job is: with too much, with what is there, with nothing
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
	sync(finish) // may be true at this moment: the true one comes later, and counts

	first := marked(claim)
	first.Header.Set("Chunkline-Fetcher", "attacker")
	j.say(first)
	if code := fetcher.Exit(); code != 1 || !strings.Contains(fetcher.Tail(), "another fetcher has taken over") {
		t.Errorf("fetcher after a forged claim: exit %d, want 1, saying why: %s", code, fetcher.Tail())
	}
	fetcher.Start() // as whatever keeps it running does
	j.finish(fetcher)
}
