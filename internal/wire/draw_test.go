package wire_test

import (
	"slices"
	"strings"
	"time"

	"pgregory.net/rapid"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/internal/wire"
)

// How to draw messages: within the bounds, and the way they come out of a
// decoder (lists ascending, nil when empty).

func drawUint(t *rapid.T) uint64 { return rapid.Uint64Range(0, 1<<62).Draw(t, "number") }
func drawText(t *rapid.T) string { return rapid.StringN(-1, -1, 256).Draw(t, "text") }
func drawHex(t *rapid.T) string  { return rapid.StringMatching(`[0-9a-f]{32}`).Draw(t, "hex") }
func drawPlan(t *rapid.T) chunk.PlanID {
	return chunk.PlanID(drawHex(t))
}

func drawMaybePlan(t *rapid.T) chunk.PlanID {
	return rapid.SampledFrom([]chunk.PlanID{"", drawPlan(t)}).Draw(t, "plan")
}

func drawMapper(t *rapid.T) report.Mapper {
	label := func() string { return strings.ReplaceAll(drawText(t), "\x00", "") }
	return report.Mapper{ID: rapid.StringMatching(`[A-Za-z0-9_-]{1,64}`).Draw(t, "id"), Name: label(), Version: label()}
}

func drawSet[T ~uint64](t *rapid.T, least, most int) []T {
	number := rapid.OneOf(rapid.Uint64Range(0, 50), rapid.Uint64Range(0, 1<<62))
	set := rapid.SliceOfNDistinct(number, least, most, rapid.ID[uint64]).Draw(t, "set")
	if len(set) == 0 {
		return nil
	}
	slices.Sort(set)
	typed := make([]T, len(set))
	for i, n := range set {
		typed[i] = T(n)
	}
	return typed
}

func drawPieces(t *rapid.T, most int) []chunk.Piece {
	number := rapid.OneOf(rapid.Uint64Range(0, 50), rapid.Uint64Range(0, 1<<62))
	piece := rapid.Custom(func(t *rapid.T) chunk.Piece {
		from := rapid.SampledFrom([]int{0, 0, 50, 9_000}).Draw(t, "from")
		return chunk.Piece{Chunk: chunk.ID(number.Draw(t, "chunk")), From: from, To: from + rapid.SampledFrom([]int{1, 50, 100, 1_000}).Draw(t, "objects")}
	})
	set := rapid.SliceOfNDistinct(piece, 0, most, rapid.ID[chunk.Piece]).Draw(t, "pieces")
	if len(set) == 0 {
		return nil
	}
	slices.SortFunc(set, chunk.Piece.Compare)
	return set
}

func drawHolding(t *rapid.T) wire.Holding {
	return wire.Holding{Seq: drawUint(t), Held: drawPieces(t, 30), Asking: drawSet[uint64](t, 0, 10)}
}

func drawNext(t *rapid.T) wire.Next {
	return wire.Next{
		Plan: drawMaybePlan(t), Mapper: drawMapper(t), Worker: rapid.IntRange(0, 1024).Draw(t, "worker"),
		Holding: drawHolding(t), Epoch: drawUint(t), Pace: time.Duration(drawUint(t)), Grain: rapid.IntRange(0, chunk.MaxSize).Draw(t, "grain"),
		Wait: time.Duration(rapid.IntRange(0, 3_600_000).Draw(t, "wait")) * time.Millisecond,
	}
}

func drawLines(t *rapid.T, n int) []byte {
	line := rapid.SliceOfN(rapid.Byte().Filter(func(b byte) bool { return b != '\n' }), 0, 20)
	var body []byte
	for range n {
		body = append(append(body, line.Draw(t, "line")...), '\n')
	}
	return body
}

func drawFlaws(t *rapid.T, from, objects int) []chunk.Flaw {
	var flaws []chunk.Flaw
	for i := range objects {
		if rapid.Bool().Draw(t, "flawed") {
			flaws = append(flaws, chunk.Flaw{Index: from + i, Reason: rapid.StringN(-1, -1, 300).Draw(t, "reason")})
		}
	}
	return flaws
}

func drawWork(t *rapid.T) wire.Work {
	w := wire.Work{Plan: drawPlan(t), Epoch: drawUint(t), Reason: drawText(t)}
	w.Status = rapid.SampledFrom([]wire.WorkStatus{wire.WorkGrant, wire.WorkNone, wire.WorkDone, wire.WorkRefused}).Draw(t, "status")
	if w.Status != wire.WorkGrant {
		return w
	}
	w.Shadow = rapid.Bool().Draw(t, "shadow")
	for range rapid.IntRange(1, 4).Draw(t, "pieces") {
		g := wire.Granted{Chunk: chunk.Chunk{ID: chunk.ID(drawUint(t)), Count: rapid.IntRange(1, 20).Draw(t, "count")}}
		g.From = rapid.IntRange(0, 20).Draw(t, "from")
		g.Of = g.From + g.Chunk.Count + rapid.IntRange(0, 20).Draw(t, "behind")
		g.Chunk.First = rapid.Uint64Range(uint64(g.From), 1<<62).Draw(t, "first")
		g.Chunk.Body = drawLines(t, g.Chunk.Count)
		g.Chunk.Bad, g.Skip = drawFlaws(t, g.From, g.Chunk.Count), drawFlaws(t, g.From, g.Chunk.Count)
		g.Digest = g.Chunk.Digest()
		g.Attempt, g.Token = rapid.IntRange(1, 100).Draw(t, "attempt"), drawHex(t)
		g.Careful, g.Trace = rapid.Bool().Draw(t, "careful"), drawTrace(t)
		w.Grant = append(w.Grant, g)
	}
	return w
}

func drawTrace(t *rapid.T) wire.Trace {
	return rapid.SampledFrom([]wire.Trace{{}, {Parent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}, {Parent: "00-1-2-01", State: "v=<x>"}}).Draw(t, "trace")
}

func drawBeat(t *rapid.T) wire.Beat {
	b := wire.Beat{Plan: drawMaybePlan(t), Mapper: drawMapper(t), Holding: drawHolding(t), Draining: rapid.Bool().Draw(t, "draining"), Goodbye: rapid.Bool().Draw(t, "goodbye"), Epoch: drawUint(t)}
	if rapid.Bool().Draw(t, "careful") {
		b.Doing = &wire.Doing{Chunk: chunk.ID(drawUint(t)), Index: rapid.IntRange(0, chunk.MaxSize).Draw(t, "index")}
	}
	if rapid.Bool().Draw(t, "trouble") {
		b.Retries = drawUint(t)
		b.Unanswered, b.Notice, b.FailedReason = rapid.IntRange(0, wire.MaxUnanswered).Draw(t, "unanswered"), drawText(t), drawText(t)
		b.Failed = &wire.Failed{Chunk: chunk.ID(drawUint(t)), Objects: rapid.IntRange(0, chunk.MaxSize).Draw(t, "failed")}
	}
	return b
}

func drawSave(t *rapid.T) wire.Save {
	s := wire.Save{Plan: drawPlan(t), Epoch: drawUint(t), Mapper: drawMapper(t), Shadow: rapid.Bool().Draw(t, "shadow")}
	for range rapid.IntRange(1, 4).Draw(t, "results") {
		s.Results = append(s.Results, drawResult(t))
	}
	return s
}

func drawResult(t *rapid.T) wire.Result {
	r := wire.Result{
		Chunk: chunk.ID(drawUint(t)), Attempt: rapid.IntRange(1, 100).Draw(t, "attempt"), Token: drawHex(t), Trace: drawTrace(t),
		Counts: rapid.SliceOfN(rapid.SampledFrom([]int{1, 1, 1, 0, 2, 5}), 1, 40).Draw(t, "counts"),
		Digest: chunk.Sum(rapid.SliceOf(rapid.Byte()).Draw(t, "input")),
		From:   rapid.IntRange(0, 20).Draw(t, "from"),
	}
	r.Objects = len(r.Counts)
	r.Of = r.From + r.Objects + rapid.IntRange(0, 20).Draw(t, "behind")
	r.First = rapid.Uint64Range(uint64(r.From), 1<<62).Draw(t, "first")
	outputs, none := 0, 0
	for _, n := range r.Counts {
		outputs += n
		if n == 0 {
			none++
		}
	}
	r.DeadCount = rapid.IntRange(0, none).Draw(t, "dead")
	r.Outputs, r.Dead = append([]byte{}, drawLines(t, outputs)...), append([]byte{}, drawLines(t, r.DeadCount)...) // a decoder cuts them from the body: never nil
	return r
}

func drawSaveAnswer(t *rapid.T) wire.SaveAnswer {
	status := rapid.SampledFrom([]wire.SaveStatus{wire.SaveCommitted, wire.SaveDuplicate, wire.SaveBusy, wire.SaveRefused})
	return wire.SaveAnswer{Plan: drawMaybePlan(t), Statuses: rapid.SliceOfN(status, 1, 5).Draw(t, "statuses"), Reason: drawText(t), Sink: drawSink(t)}
}

func drawEntry(t *rapid.T, id chunk.ID) wire.Entry {
	e := wire.Entry{ID: id, From: rapid.SampledFrom([]int{0, 0, 50}).Draw(t, "from"), Objects: rapid.IntRange(1, 100).Draw(t, "objects"), Digest: chunk.Sum([]byte{byte(id)})}
	e.Of = e.From + e.Objects + rapid.SampledFrom([]int{0, 0, 50}).Draw(t, "behind")
	return e
}

func drawSummary(t *rapid.T) report.Summary {
	if rapid.Bool().Draw(t, "empty") {
		return report.Summary{}
	}
	return report.Summary{
		Chunks: drawUint(t), Objects: drawUint(t), Outputs: drawUint(t), Dead: drawUint(t),
		OutputBytes: drawUint(t), Output: drawText(t), DeadFile: drawText(t),
	}
}

func drawSaved(t *rapid.T) wire.Saved {
	s := wire.Saved{Plan: drawPlan(t), Epoch: drawUint(t), Total: drawSummary(t), Load: drawLoad(t), Sink: drawSink(t)}
	for _, id := range drawSet[chunk.ID](t, 1, 100) {
		s.Pieces = append(s.Pieces, wire.SavedPiece{
			Entry:  drawEntry(t, id),
			Mapper: rapid.SampledFrom([]string{"MJ4ZQ2RVLLXO5PYF6AIWT3KDNE", "m1", "m_2"}).Draw(t, "mapper"),
			Dead:   rapid.SampledFrom([]int{0, 0, 1, 10_000}).Draw(t, "dead"),
		})
	}
	return s
}

func drawSavedAnswer(t *rapid.T) wire.SavedAnswer { return wire.SavedAnswer{Plan: drawPlan(t)} }

func drawSync(t *rapid.T) wire.Sync {
	s := wire.Sync{
		Op:   rapid.SampledFrom([]wire.SyncOp{wire.SyncClaim, wire.SyncList, wire.SyncFinish, wire.SyncDead, wire.SyncShadow, wire.SyncFence}).Draw(t, "op"),
		Plan: drawPlan(t), Epoch: drawUint(t), Fetcher: rapid.StringMatching(`[A-Z0-9]{26}`).Draw(t, "fetcher"),
	}
	switch s.Op {
	case wire.SyncClaim:
		s.Claim = &chunk.Plan{Source: drawText(t), Size: 100, Bytes: 1 << 20, Format: 1}
		s.Plan = rapid.SampledFrom([]chunk.PlanID{"", s.Claim.ID()}).Draw(t, "plan")
	case wire.SyncList:
		if s.Chunks = drawSet[chunk.ID](t, 0, 50); s.Chunks == nil {
			s.From, s.Limit = chunk.ID(drawUint(t)), rapid.IntRange(1, 8192).Draw(t, "limit")
		}
	case wire.SyncDead:
		s.From, s.Limit = chunk.ID(drawUint(t)), rapid.IntRange(1, report.MaxDead).Draw(t, "limit")
	case wire.SyncShadow:
	case wire.SyncFence:
		s.Version, s.Term = drawText(t), drawUint(t)
	case wire.SyncFinish:
		s.Total = wire.Totals{Chunks: drawUint(t), Objects: drawUint(t)}
	}
	return s
}

func drawLoad(t *rapid.T) report.SaverLoad {
	number := rapid.Float64Range(0, 1e6)
	return report.SaverLoad{ID: rapid.SampledFrom([]string{"", "MJ4ZQ2RVLLXO5PYF6AIWT3KDNE"}).Draw(t, "saver"), Duplicates: drawUint(t), Queued: rapid.IntRange(0, 4096).Draw(t, "queued"), CommitSeconds: number.Draw(t, "commit"), SyncSeconds: number.Draw(t, "sync")}
}

func drawSink(t *rapid.T) wire.SinkID {
	return wire.SinkID{ID: rapid.StringMatching(`[A-Z2-7]{0,26}`).Draw(t, "sink"), At: drawText(t)}
}

func drawSyncAnswer(t *rapid.T) wire.SyncAnswer {
	a := wire.SyncAnswer{
		Plan: drawMaybePlan(t), Reason: drawText(t), Epoch: drawUint(t), Summary: drawSummary(t),
		Status: rapid.SampledFrom([]wire.SyncStatus{wire.SyncOK, wire.SyncWorking, wire.SyncOtherPlan, wire.SyncFenced, wire.SyncFailed}).Draw(t, "status"),
	}
	if rapid.Bool().Draw(t, "key") {
		a.Key = rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "key")
	}
	a.Load, a.Sink = drawLoad(t), drawSink(t)
	if rapid.Bool().Draw(t, "dead") {
		a.Dead = &report.DeadPage{Before: chunk.ID(drawUint(t))}
		for range rapid.IntRange(0, 3).Draw(t, "letters") {
			a.Dead.Letters = append(a.Dead.Letters, report.DeadLetter{Ordinal: drawUint(t), Error: drawText(t), Object: drawText(t), Bytes: 7})
		}
		return a
	}
	if rapid.Bool().Draw(t, "shadow") {
		a.Shadow = &report.ShadowReport{Versions: []report.ShadowCount{{Version: drawText(t), Objects: drawUint(t)}}}
		return a
	}
	if rapid.Bool().Draw(t, "terms") {
		a.Past = wire.VersionPast{Terms: map[string]uint64{drawText(t): drawUint(t)}, Transforms: map[string]string{drawText(t): drawText(t)}}
		return a
	}
	for _, id := range drawSet[chunk.ID](t, 0, 20) {
		a.Entries = append(a.Entries, drawEntry(t, id))
	}
	return a
}

func drawOrder(t *rapid.T) wire.Order {
	kind := rapid.SampledFrom([]wire.OrderKind{wire.OrderPing, wire.OrderDrop, wire.OrderDrain})
	o := wire.Order{Plan: drawPlan(t), Kind: kind.Draw(t, "kind"), Reason: drawText(t), Epoch: drawUint(t)}
	if o.Kind == wire.OrderDrop {
		o.Piece = chunk.Piece{Chunk: chunk.ID(drawUint(t)), From: 3, To: rapid.IntRange(4, chunk.MaxSize).Draw(t, "to")}
	}
	return o
}

func drawStatus(t *rapid.T) report.Status {
	number := rapid.Float64Range(0, 1e15)
	s := report.Status{
		Job: "job", Plan: drawMaybePlan(t), Epoch: drawUint(t), State: report.StateRunning, Source: drawText(t),
		Objects: report.ObjectCounts{Cut: drawUint(t), Dead: drawUint(t)}, Chunks: report.ChunkCounts{Cut: drawUint(t), BackupWins: drawUint(t)},
		Rate: number.Draw(t, "rate"), StartedAt: time.Unix(int64(rapid.Int32().Draw(t, "start")), 0).UTC(), Summary: drawSummary(t),
	}
	if rapid.Bool().Draw(t, "eta") {
		eta := number.Draw(t, "eta")
		s.ETASeconds = &eta
	}
	for range rapid.IntRange(0, 3).Draw(t, "mappers") {
		s.Mappers = append(s.Mappers, report.MapperStatus{Mapper: drawMapper(t), Held: 3, Saved: drawUint(t), LastBeatSeconds: 0.5})
	}
	return s.Whole() // decoded lists are not nil
}

func drawControl(t *rapid.T) wire.Control {
	name, share := rapid.SampledFrom([]string{"v1", "v2"}).Draw(t, "version"), rapid.Float64Range(0, 1).Draw(t, "share")
	return rapid.SampledFrom([]wire.Control{
		{Action: wire.ControlPause}, {Action: wire.ControlResume}, {Action: wire.ControlCancel},
		{Action: wire.ControlRate, Rate: rapid.Float64Range(0, 1e9).Draw(t, "rate")},
		{Action: wire.ControlShare, Version: name, Share: share}, {Action: wire.ControlShadow, Version: name, Share: share},
		{Action: wire.ControlShadow}, {Action: wire.ControlAllow, Version: name},
	}).Draw(t, "order")
}

func drawControlAnswer(t *rapid.T) wire.ControlAnswer {
	return wire.ControlAnswer{Plan: drawMaybePlan(t), OK: rapid.Bool().Draw(t, "ok"), Reason: drawText(t)}
}

func drawHello(t *rapid.T) wire.Hello { return wire.Hello{Plan: drawPlan(t), Epoch: drawUint(t)} }
