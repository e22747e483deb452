package sim

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/chunkline/chunkline/internal/bus/bustest"
	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/wire"
)

// fenceTime is how long a replaced fetcher may hand out, when nothing keeps it
// from hearing that it is.
const fenceTime = 10 * time.Second

// watch holds the invariants against every packet while the scenario is
// played, and notes which situations it came to.
type watch struct {
	c      *crew
	healed time.Time // zero: not yet

	mu        sync.Mutex
	situation map[string]bool            // guarded by mu
	first     map[chunk.ID]sink.Result   // guarded by mu; what was there when it was first confirmed
	epoch     uint64                     // guarded by mu; the sink's
	claimed   time.Time                  // guarded by mu; when epoch came
	of        map[string]uint64          // guarded by mu; epochs of fetchers, by name
	handed    map[handOut]int            // guarded by mu; by this epoch
	transfers map[string]string          // guarded by mu; chunk of a result in parts, by part ID
	announced map[uint64]map[string]bool // guarded by mu; mapper processes that announced an object, by ordinal
	believed  map[chunk.ID][]string      // guarded by mu; outputs that a liar with a lease sent
	careful   map[chunk.ID]int           // guarded by mu; how often a chunk was handed out in careful mode
	given     map[given]uint64           // guarded by mu; chunks that a version got of a fetcher
	got       map[string]time.Time       // guarded by mu; MAPPER CHUNK: when it got it to be saved
}

type handOut struct {
	epoch uint64
	chunk chunk.ID
}

func newWatch(c *crew) *watch {
	return &watch{
		c: c, situation: map[string]bool{}, first: map[chunk.ID]sink.Result{}, of: map[string]uint64{},
		handed: map[handOut]int{}, transfers: map[string]string{}, announced: map[uint64]map[string]bool{},
		careful: map[chunk.ID]int{}, believed: map[chunk.ID][]string{}, given: map[given]uint64{}, got: map[string]time.Time{},
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

// see looks at a packet that is being sent.
func (w *watch) see(p bustest.Packet) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if epoch := w.c.sink.Epoch(); epoch != w.epoch {
		w.epoch, w.claimed = epoch, time.Now()
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
		if id, part := p.Header["Chunkline-Part-Id"]; part {
			w.situation["result in parts"] = true
			w.transfers[id] = p.Header["Chunkline-Chunk"]
		}
		w.seeSave(p)
	case k.verb == wire.VerbSave, k.verb == "part" && p.Reply:
		w.seeSaveAnswer(p)
	case k.verb == wire.VerbSaved && !p.Reply:
		w.seeSaved(p)
	case k.verb == wire.VerbSync && p.Reply:
		w.seeSyncAnswer(p)
	case k.verb == wire.VerbHello:
		w.seeHello(p)
	case k.verb == "mapper" && !p.Reply:
		if o, err := wire.DecodeOrder(p.Message); err == nil {
			w.situation["order "+string(o.Kind)] = true
		}
	}
}

// seeHello looks at what a fetcher, or a liar, says to all mappers.
func (w *watch) seeHello(p bustest.Packet) {
	hello, err := wire.DecodeHello(p.Message)
	switch {
	case err != nil:
		w.wrong("%s says a hello that cannot be read: %v", p.From, err)
	case strings.HasPrefix(p.From, "liar"):
		w.situation["hello forged"] = true
	case hello.Epoch < w.epoch:
		w.situation["hello from an older epoch"] = true
	default:
		w.situation["hello"] = true
	}
}

// seeWork looks at a chunk on its way to a mapper.
func (w *watch) seeWork(p bustest.Packet) {
	work, err := wire.DecodeWork(p.Message)
	if err != nil || work.Status != wire.WorkChunk { // in parts, or none
		w.seeCarefulPart(p)
		return
	}
	w.of[p.From] = work.Epoch
	if w.seeVersion(p, work); work.Shadow {
		return // a copy of what is saved, on no books
	}
	h := handOut{work.Epoch, work.Chunk.ID}
	w.handed[h]++
	if w.handed[h] > 1 {
		w.situation["handed out again"] = true
	}
	if work.Careful {
		w.situation["careful"] = true
		w.careful[work.Chunk.ID]++
	}
	if len(work.Skip) > 0 {
		w.situation["object skipped"] = true
	}
	if late := later(w.claimed, w.healed); work.Epoch < w.epoch && !w.healed.IsZero() && time.Since(late) > fenceTime {
		w.wrong("%s hands out chunk %d for epoch %d, %s after epoch %d was claimed", p.From, work.Chunk.ID, work.Epoch, time.Since(late), w.epoch)
	}
}

// seeCarefulPart counts a chunk that is handed out in careful mode and travels
// in parts. Its body is not whole, but the first part has all headers.
func (w *watch) seeCarefulPart(p bustest.Packet) {
	id, err := strconv.ParseUint(p.Header["Chunkline-Chunk"], 10, 64)
	if err == nil && p.Header["Chunkline-Part"] == "first" && p.Header["Chunkline-Careful"] != "" {
		w.careful[chunk.ID(id)]++
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// seeList looks at what a mapper says it holds.
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
	for _, id := range b.Held {
		if _, there := w.c.sink.Result(id); !there && epoch > 1 && w.handed[handOut{epoch, id}] == 0 {
			w.situation["lease adopted"] = true
		}
	}
}

// held is the sink's result of a chunk that somebody says is durable.
func (w *watch) durable(id chunk.ID, who string) {
	r, there := w.c.sink.Result(id)
	if !there {
		w.wrong("%s says that chunk %d is saved, and the sink does not hold it", who, id)
		return
	}
	if _, known := w.first[id]; !known {
		w.first[id] = r
	}
}

func (w *watch) seeSaved(p bustest.Packet) {
	if _, part := p.Header["Chunkline-Part-Id"]; part {
		return
	}
	s, err := wire.DecodeSaved(w.c.sink.Key(), p.Message)
	if err != nil {
		w.wrong("%s sends a confirmation that cannot be read: %v", p.From, err)
		return
	}
	for _, c := range s.Chunks {
		w.durable(c.ID, p.From)
	}
	if n := w.c.sink.Summary().Chunks; s.Total.Chunks > n {
		w.wrong("%s says the sink holds %d chunks, it holds %d", p.From, s.Total.Chunks, n)
	}
}

func (w *watch) seeSaveAnswer(p bustest.Packet) {
	a, err := wire.DecodeSaveAnswer(p.Message)
	if err != nil { // another part of a transfer
		return
	}
	w.situation["result "+string(a.Status)] = true
	if a.Status != wire.SaveCommitted && a.Status != wire.SaveDuplicate {
		return
	}
	w.seeCompared(p, a)
	text := p.Question.Header["Chunkline-Chunk"]
	if id, part := p.Question.Header["Chunkline-Part-Id"]; part {
		text = w.transfers[id]
	}
	var id chunk.ID
	if _, err := fmt.Sscan(text, &id); err != nil {
		w.wrong("%s answers %s to no chunk: %v", p.From, a.Status, err)
		return
	}
	w.durable(id, p.From)
}

func (w *watch) seeSyncAnswer(p bustest.Packet) {
	q, err := wire.DecodeSync(p.Question)
	a, e := wire.DecodeSyncAnswer(p.Message)
	if err != nil || e != nil {
		return
	}
	for _, entry := range a.Entries {
		w.durable(entry.ID, p.From)
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
	if b, err := wire.DecodeBeat(p.Message); isAnnouncement(p) && err == nil && !fate.Drop && !fate.Corrupt {
		add(w.announced, uint64(b.Doing.Chunk)*uint64(w.c.s.size)+uint64(b.Doing.Index), b.Mapper.ID)
	}
}

func add[K comparable](sets map[K]map[string]bool, key K, name string) {
	if sets[key] == nil {
		sets[key] = map[string]bool{}
	}
	sets[key][name] = true
}
