package sim

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/chunkline/chunkline/internal/bus"
	"github.com/chunkline/chunkline/internal/bus/bustest"
	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/sink"
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
	careful   map[chunk.ID]int           // guarded by mu; how often a chunk was handed out in careful mode
}

type handOut struct {
	epoch uint64
	chunk chunk.ID
}

func newWatch(c *crew) *watch {
	return &watch{
		c: c, situation: map[string]bool{}, first: map[chunk.ID]sink.Result{}, of: map[string]uint64{},
		handed: map[handOut]int{}, transfers: map[string]string{}, announced: map[uint64]map[string]bool{},
		careful: map[chunk.ID]int{},
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
	if w.c.away {
		w.situation["nats away"] = true
	}
	switch k := kindOf(p); {
	case k.verb == bus.VerbNext && p.Reply:
		w.seeWork(p)
	case k.verb == bus.VerbBeat, k.verb == bus.VerbNext:
		w.seeList(p)
	case k.verb == bus.VerbSave && !p.Reply:
		if id, part := p.Header["Chunkline-Part-Id"]; part {
			w.situation["result in parts"] = true
			w.transfers[id] = p.Header["Chunkline-Chunk"]
		}
	case k.verb == bus.VerbSave, k.verb == "part" && p.Reply:
		w.seeSaveAnswer(p)
	case k.verb == bus.VerbSaved && !p.Reply:
		w.seeSaved(p)
	case k.verb == bus.VerbSync && p.Reply:
		w.seeSyncAnswer(p)
	case k.verb == "mapper" && !p.Reply:
		if o, err := bus.DecodeOrder(p.Message); err == nil {
			w.situation["order "+string(o.Kind)] = true
		}
	}
}

// seeWork looks at a chunk on its way to a mapper.
func (w *watch) seeWork(p bustest.Packet) {
	work, err := bus.DecodeWork(p.Message)
	if err != nil || work.Status != bus.WorkChunk { // in parts, or none
		return
	}
	w.of[p.From] = work.Epoch
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

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// seeList looks at what a mapper says it holds.
func (w *watch) seeList(p bustest.Packet) {
	b, err := bus.DecodeBeat(p.Message) // a next has the same headers, and more
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
	s, err := bus.DecodeSaved(w.c.sink.Key(), p.Message)
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
	a, err := bus.DecodeSaveAnswer(p.Message)
	if err != nil { // another part of a transfer
		return
	}
	w.situation["result "+string(a.Status)] = true
	if a.Status != bus.SaveCommitted && a.Status != bus.SaveDuplicate {
		return
	}
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
	q, err := bus.DecodeSync(p.Question)
	a, e := bus.DecodeSyncAnswer(p.Message)
	if err != nil || e != nil {
		return
	}
	for _, entry := range a.Entries {
		w.durable(entry.ID, p.From)
		if q.Chunks != nil {
			w.situation["lost confirmation found by list"] = true
		}
	}
	if a.Status == bus.SyncOtherPlan {
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
	if b, err := bus.DecodeBeat(p.Message); isAnnouncement(p) && err == nil && !fate.Drop && !fate.Corrupt {
		add(w.announced, uint64(b.Doing.Chunk)*uint64(w.c.s.size)+uint64(b.Doing.Index), b.Mapper.ID)
	}
}

func add[K comparable](sets map[K]map[string]bool, key K, name string) {
	if sets[key] == nil {
		sets[key] = map[string]bool{}
	}
	sets[key][name] = true
}

// counted compares what the fetcher says in the end with the sink.
func (w *watch) counted(s bus.Status) {
	held := w.c.sink.Summary()
	if s.State != bus.StateDone || s.Progress != 1 || s.Chunks.Saved != held.Chunks || s.Chunks.Cut != held.Chunks ||
		s.Objects != (bus.ObjectCounts{Cut: uint64(w.c.s.objects), Saved: held.Objects, Outputs: held.Outputs, Dead: held.Dead}) {
		w.wrong("the job is done with status %+v, the sink holds %+v", s, held)
	}
	for what, is := range map[string]bool{
		"chunk redelivered": s.Chunks.Redelivered > 0, "backup attempt": s.Chunks.Backups > 0, "takeover": s.Epoch > 1,
	} {
		if is {
			w.happened(what)
		}
	}
}

// complete compares the sink with the source: every object is there once, its
// output in its place, or a dead letter with a cause.
func (w *watch) complete() {
	dead := map[int]bool{}
	for _, l := range w.c.letters() {
		i := int(l.Ordinal)
		switch {
		case dead[i]:
			w.wrong("object %d is dead twice", i)
		case string(l.Object) != w.c.s.user(i):
			w.wrong("dead letter of object %d holds %q", i, l.Object)
		case i == w.c.s.poison:
		case !w.c.s.bad[i]:
			w.wrongly(i, l)
		case l.Attempts != 0 || !strings.Contains(l.Error, fmt.Sprintf("line %d", i+1)):
			w.wrong("dead letter of the unreadable object %d is %+v", i, l)
		}
		dead[i] = true
	}
	for i := range w.c.s.bad {
		if !dead[i] {
			w.wrong("object %d cannot be read and is not dead", i)
		}
	}
	if i := w.c.s.poison; i >= 0 && !dead[i] {
		w.wrong("object %d kills whoever touches it and is not dead", i)
	}
	var want strings.Builder
	for i := range w.c.s.objects {
		if !dead[i] {
			want.WriteString(w.c.s.output(i))
		}
	}
	if got, _ := w.c.sink.Content(); got != want.String() {
		w.wrong("the sink holds\n%s\nwant\n%s", got, want.String())
	}
	if s := w.c.sink.Summary(); s.Output == "" || s.Dead != uint64(len(dead)) || s.Objects != uint64(w.c.s.objects) {
		w.wrong("the sink's summary is %+v, want all objects, %d of them dead, and finished", s, len(dead))
	}
	for id, then := range w.first {
		if now, _ := w.c.sink.Result(id); string(now.Outputs) != string(then.Outputs) || string(now.Dead) != string(then.Dead) {
			w.wrong("chunk %d is not what was confirmed", id)
		}
	}
}

// wrongly looks for the cause of an innocent object's death: two mappers that
// had announced it, or as many careful attempts of its chunk as MAX_ATTEMPTS.
func (w *watch) wrongly(i int, l chunk.DeadLetter) {
	id := chunk.ID(i / w.c.s.size)
	switch announced := w.announced[uint64(i)]; {
	case strings.Contains(l.Error, "took down") && w.c.s.attempts > 0:
		w.situation["chunk given up"] = true
		if n := w.careful[id]; n < w.c.s.attempts {
			w.wrong("chunk %d was given up after %d careful attempts, MAX_ATTEMPTS is %d: %+v", id, n, w.c.s.attempts, l)
		}
	case w.c.s.fair:
		w.wrong("innocent object %d is dead: %+v", i, l)
	case len(announced) < 2:
		w.wrong("innocent object %d is dead, announced by %v only: %+v", i, slices.Sorted(maps.Keys(announced)), l)
	default:
		w.situation["innocent object condemned"] = true
	}
}
