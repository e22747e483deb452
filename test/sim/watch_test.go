package sim

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/chunkline/chunkline/internal/bus/bustest"
	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/wire"
)

// fenceTime is how long a replaced fetcher may hand out work when no fault keeps it from learning
// that it is fenced.
const fenceTime = 10 * time.Second

// watch checks the invariants on every packet of a scenario, and records which situations occurred.
type watch struct {
	c      *cluster
	healed time.Time // zero: not yet

	mu           sync.Mutex
	situation    map[string]bool                 // guarded by mu
	first        pieces                          // guarded by mu; results as they were when first confirmed
	epoch        uint64                          // guarded by mu; the sink's
	claimed      time.Time                       // guarded by mu; when epoch was claimed
	of           map[string]uint64               // guarded by mu; epochs of fetchers, by name
	handed       map[object]int                  // guarded by mu; how often each object was handed out
	acknowledged map[confirmation]time.Time      // guarded by mu; when a fetcher acknowledged that an object is saved
	transfers    map[string]*transfer            // guarded by mu; requests in parts, by part ID
	announced    map[uint64]map[string]bool      // guarded by mu; mapper processes that announced an object, by ordinal
	forged       map[chunk.Piece][]string        // guarded by mu; outputs that a Byzantine mapper with a lease sent
	careful      map[uint64]int                  // guarded by mu; how often an object was handed out in careful mode
	given        map[given]amount                // guarded by mu; what a version got from a fetcher
	got          map[string]time.Time            // guarded by mu; MAPPER ORDINAL: when the mapper got the object to save it
	blurred      map[string]bool                 // guarded by mu; mappers that got a grant in parts, which is not read here
	lists        map[string]map[chunk.Piece]bool // guarded by mu; the latest list of each mapper process
	sent         map[listed]bool                 // guarded by mu; pieces that a mapper process need not list any more
}

// object is an object of the source under one epoch.
type object struct{ epoch, ordinal uint64 }

// confirmation tells a fetcher that an object is saved.
type confirmation struct {
	fetcher string
	object
}

// listed is a piece of a mapper process.
type listed struct {
	mapper string
	piece  chunk.Piece
}

// transfer is a request that travels in parts.
type transfer struct {
	header wire.Header
	body   []byte
}

func newWatch(c *cluster) *watch {
	return &watch{
		c: c, situation: map[string]bool{}, first: pieces{}, of: map[string]uint64{}, handed: map[object]int{}, acknowledged: map[confirmation]time.Time{},
		transfers: map[string]*transfer{}, announced: map[uint64]map[string]bool{}, careful: map[uint64]int{}, forged: map[chunk.Piece][]string{},
		given: map[given]amount{}, got: map[string]time.Time{}, blurred: map[string]bool{}, lists: map[string]map[chunk.Piece]bool{}, sent: map[listed]bool{},
	}
}

func (w *watch) happened(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.situation[what] = true
}

func (w *watch) wrong(format string, args ...any) {
	w.c.t.Errorf("%s: %s", time.Since(w.c.begin), fmt.Sprintf(format, args...))
}

// see checks a packet that is being sent.
func (w *watch) see(p bustest.Packet) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if epoch := w.c.sink.Epoch(); epoch != w.epoch {
		w.epoch, w.claimed = epoch, time.Now()
		if w.c.sink.isPartial() {
			w.situation["restart with a chunk saved in part"] = true
		}
	}
	if w.c.away.Load() {
		w.situation["nats away"] = true
	}
	switch k := kindOf(p); {
	case k.verb == wire.VerbNext && p.Reply:
		w.seeWork(p)
	case k.verb == wire.VerbBeat, k.verb == wire.VerbNext:
		w.seeList(p)
	case k.verb == wire.VerbSave && !p.Reply:
		w.seePart(p)
		w.seeSave(p)
	case k.verb == "part" && !p.Reply:
		w.seePart(p)
	case k.verb == wire.VerbSave, k.verb == "part" && p.Reply:
		w.seeSaveAnswer(p)
	case k.verb == wire.VerbSaved && !p.Reply:
		w.seeSaved(p)
	case k.verb == wire.VerbSaved:
		w.seeSavedAnswer(p)
	case k.verb == wire.VerbSync && p.Reply:
		w.seeSyncAnswer(p)
	case k.verb == wire.VerbHello:
		w.seeHello(p)
	case k.verb == "mapper" && !p.Reply:
		if o, err := wire.DecodeOrder(p.Message); err == nil {
			w.situation["order "+string(o.Kind)] = true
			w.sent[listed{strings.TrimPrefix(verbOf(p), "mapper."), o.Piece}] = true
		}
	}
}

// seeHello checks a hello of a fetcher or a Byzantine mapper.
func (w *watch) seeHello(p bustest.Packet) {
	hello, err := wire.DecodeHello(p.Message)
	switch {
	case err != nil:
		w.wrong("%s sent a hello that cannot be read: %v", p.From, err)
	case isByzantine(p.From):
		w.situation["hello forged"] = true
	case hello.Epoch < w.epoch:
		w.situation["hello from an older epoch"] = true
	default:
		w.situation["hello"] = true
	}
}

// seeWork checks a grant on its way to a mapper.
func (w *watch) seeWork(p bustest.Packet) {
	work, err := wire.DecodeWork(p.Message)
	if err != nil || work.Status != wire.WorkGrant { // in parts, or none
		if p.Header["Chunkline-Part"] == wire.PartFirst {
			w.unknown(p.To)
		}
		w.seeCarefulPart(p)
		return
	}
	w.of[p.From] = work.Epoch
	if len(work.Grant) > 1 {
		w.situation["grant of several pieces"] = true
	}
	for i := range work.Grant {
		g := &work.Grant[i]
		if w.seeVersion(p, work, g); work.Shadow {
			continue // a copy of a saved piece, without a lease
		}
		w.seeGranted(p, work.Epoch, g)
		if (g.Attempt > 1 || g.Careful) && len(work.Grant) > 1 {
			w.wrong("%s granted %d pieces at once with %s, attempt %d, want a grant of one piece after a crash", p.From, len(work.Grant), g.Piece(), g.Attempt)
		}
	}
	if late := later(w.claimed, w.healed); !work.Shadow && work.Epoch < w.epoch && !w.healed.IsZero() && time.Since(late) > fenceTime {
		w.wrong("%s handed out piece %s for epoch %d, %s after epoch %d was claimed", p.From, work.Grant[0].Piece(), work.Epoch, time.Since(late), w.epoch)
	}
}

// seeGranted checks one piece of a grant.
func (w *watch) seeGranted(p bustest.Packet, epoch uint64, g *wire.Granted) {
	if g.Chunk.Count < g.Of {
		w.situation["chunk cut"] = true
	}
	if len(g.Skip) > 0 {
		w.situation["object skipped"] = true
	}
	for i := range g.Chunk.Count {
		o := object{epoch, g.Chunk.First + uint64(i)}
		if w.handed[o]++; w.handed[o] > 1 {
			w.situation["handed out again"] = true
		}
		// A piece confirmed at this very moment may have been on its way already.
		if at, is := w.acknowledged[confirmation{p.From, o}]; is && at.Before(time.Now()) {
			w.wrong("%s handed out piece %s, although it has known since %s that object %d is saved", p.From, g.Piece(), at.Sub(w.c.begin), o.ordinal)
		}
	}
	if g.Careful {
		w.seeCareful(g.Chunk.First, g.Chunk.Count)
	}
}

func (w *watch) seeCareful(first uint64, objects int) {
	w.situation["careful"] = true
	for i := range objects {
		w.careful[first+uint64(i)]++
	}
}

// seeCarefulPart counts a piece that is handed out in careful mode and travels in parts. Its
// description is in the first part.
func (w *watch) seeCarefulPart(p bustest.Packet) {
	line, _, _ := bytes.Cut(p.Body, []byte{'\n'})
	var piece struct {
		First   uint64
		Objects int
		Careful bool
	}
	if p.Header["Chunkline-Part"] == wire.PartFirst && json.Unmarshal(line, &piece) == nil && piece.Careful {
		w.seeCareful(piece.First, piece.Objects)
	}
}

// seePart gathers the parts of a request.
func (w *watch) seePart(p bustest.Packet) {
	head, err := wire.ReadPart(p.Header)
	if err != nil {
		return
	}
	switch t := w.transfers[head.ID]; {
	case head.Kind == wire.PartFirst:
		w.situation["result in parts"] = true
		t = &transfer{header: wire.WithoutPart(p.Header), body: make([]byte, head.Total)}
		copy(t.body, p.Body)
		w.transfers[head.ID] = t
	case head.Kind == wire.PartPut && t != nil:
		copy(t.body[head.Offset:], p.Body)
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// seeList checks the list of pieces that a mapper holds.
func (w *watch) seeList(p bustest.Packet) {
	b, err := wire.DecodeBeat(p.Message) // a next has the same headers, and more
	if err != nil {
		return
	}
	epoch := w.of[p.To]
	if epoch > 0 && b.Epoch > epoch {
		w.situation["mapper knows a newer fetcher"] = true
	}
	if b.Goodbye {
		w.situation["goodbye"] = true
	}
	now := map[chunk.Piece]bool{}
	for _, piece := range b.Held {
		now[piece] = true
		if w.c.sink.covered(piece) == 0 && epoch > 1 && w.handed[object{epoch, w.ordinal(piece)}] == 0 {
			w.situation["lease adopted"] = true
		}
	}
	for piece := range w.lists[b.Mapper.ID] {
		if !now[piece] && !b.Goodbye && !w.sent[listed{b.Mapper.ID, piece}] && w.c.s.pad == 0 && !isByzantine(p.From) {
			w.situation["grant given back"] = true
		}
	}
	w.lists[b.Mapper.ID] = now
}

// ordinal returns the ordinal of a piece's first object.
func (w *watch) ordinal(p chunk.Piece) uint64 {
	return uint64(p.Chunk)*uint64(w.c.s.size) + uint64(p.From)
}

// durable checks a claim that a piece is saved: the sink must hold it, and must never change it.
func (w *watch) durable(p chunk.Piece, who string) {
	if n := w.c.sink.covered(p); n != p.Len() {
		w.wrong("%s says that piece %s is saved, but the sink holds %d objects of it", who, p, n)
		return
	}
	for _, r := range w.c.sink.Pieces(p.Chunk) {
		if shared(pieceOf(r), p) == 0 || slices.ContainsFunc(w.first[p.Chunk], func(then sink.Result) bool { return pieceOf(then) == pieceOf(r) }) {
			continue
		}
		if n, _ := w.first.compare(r); n > 0 {
			w.wrong("the sink holds piece %s, but %d objects of it were confirmed as another piece", pieceOf(r), n)
		}
		w.first.add(r)
	}
}

func (w *watch) seeSaved(p bustest.Packet) {
	if _, part := p.Header["Chunkline-Part-Id"]; part {
		return
	}
	s, err := wire.DecodeSaved(w.c.sink.Key(), p.Message)
	if err != nil {
		w.wrong("%s sent a confirmation that cannot be read: %v", p.From, err)
		return
	}
	for _, c := range s.Pieces {
		w.durable(c.Piece(), p.From)
	}
	if n := w.c.sink.Summary().Chunks; s.Total.Chunks > n {
		w.wrong("%s says that the sink holds %d chunks, want at most %d", p.From, s.Total.Chunks, n)
	}
}

// seeSavedAnswer notes which objects a fetcher knows to be saved from now on.
func (w *watch) seeSavedAnswer(p bustest.Packet) {
	s, err := wire.DecodeSaved(w.c.sink.Key(), p.Question)
	if err != nil { // in parts
		return
	}
	for _, c := range s.Pieces {
		for i := range c.Objects {
			of := confirmation{p.From, object{s.Epoch, w.ordinal(c.Piece()) + uint64(i)}}
			if w.acknowledged[of].IsZero() {
				w.acknowledged[of] = time.Now()
			}
		}
	}
}

func (w *watch) seeSaveAnswer(p bustest.Packet) {
	a, err := wire.DecodeSaveAnswer(p.Message)
	if err != nil { // another part of a transfer
		return
	}
	question := p.Question
	switch t := w.transfers[question.Header["Chunkline-Part-Id"]]; {
	case t != nil:
		question = wire.Message{Header: t.header, Body: t.body}
	case wire.IsPart(question.Header): // a probe of the largest message that the saver's server accepts
		return
	}
	save, err := wire.DecodeSave(question)
	if err != nil {
		w.wrong("%s answered %v (%s) to a request without a result: %v", p.From, a.Statuses, a.Reason, err)
		return
	}
	for i := range save.Results {
		r, status := &save.Results[i], a.Of(i)
		w.situation["result "+string(status)] = true
		if w.overlaps(r.Piece()) && (status == wire.SaveRefused || status == wire.SaveDuplicate) {
			w.situation["late result overlaps"] = true
		}
		if status != wire.SaveCommitted && status != wire.SaveDuplicate {
			continue
		}
		if save.Shadow {
			w.seeCompared(p, status)
		}
		w.durable(r.Piece(), p.From)
	}
}

// overlaps reports whether the sink holds objects of a piece under another cut.
func (w *watch) overlaps(p chunk.Piece) bool {
	return slices.ContainsFunc(w.c.sink.Pieces(p.Chunk), func(r sink.Result) bool {
		return shared(pieceOf(r), p) > 0 && pieceOf(r) != p
	})
}

func (w *watch) seeSyncAnswer(p bustest.Packet) {
	q, err := wire.DecodeSync(p.Question)
	a, e := wire.DecodeSyncAnswer(p.Message)
	if err != nil || e != nil {
		return
	}
	for _, entry := range a.Entries {
		w.durable(entry.Piece(), p.From)
		if q.Chunks != nil {
			w.situation["lost confirmation found by list"] = true
		}
	}
	if a.Status == wire.SyncOtherPlan {
		w.situation["other plan refused"] = true
	}
}

// passed notes announcements that were not lost.
func (w *watch) passed(p bustest.Packet, fate bustest.Fate) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if fate.Corrupt {
		w.situation["damaged"] = true
	}
	if fate.Delay > time.Minute {
		w.situation["minutes late"] = true
	}
	b, err := wire.DecodeBeat(p.Message)
	if isAnnouncement(p) && err == nil && !fate.Drop && !fate.Corrupt && announces(p, b.Doing.Chunk, b.Doing.Index) {
		add(w.announced, uint64(b.Doing.Chunk)*uint64(w.c.s.size)+uint64(b.Doing.Index), b.Mapper.ID)
	}
}

func add[K comparable](sets map[K]map[string]bool, key K, name string) {
	if sets[key] == nil {
		sets[key] = map[string]bool{}
	}
	sets[key][name] = true
}
