package sink_test

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"iter"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/sink/sinktest"
)

// TestFolderAgreesWithAMap applies random operations to a folder and to a map, on a disk that is sometimes full, and
// compares them.
func TestFolderAgreesWithAMap(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		m := &model{T: r, t: t, disk: newTestFS(), dir: filepath.Join(t.TempDir(), "sink"), there: make(map[piece]sink.Result), terms: make(map[string]uint64)}
		m.o.PartBytes = rapid.Int64Range(1, 2000).Draw(r, "part bytes")
		m.disk.before = m.fault
		m.open()
		defer func() { m.f.Close() }() // in any state: the test has its result
		r.Repeat(map[string]func(*rapid.T){
			"commit":        m.commit,
			"replace":       m.replace,
			"redo":          m.redo,
			"fence version": m.fenceVersion,
			"reopen":        m.reopen,
			"":              m.check,
		})
	})
}

type model struct {
	*rapid.T
	t       *testing.T
	disk    *testFS
	dir     string
	o       sink.FolderOptions
	f       *sink.Folder
	there   map[piece]sink.Result
	terms   map[string]uint64
	fetcher int // number of the fetcher that runs the job
	full    int // the step, counted down, at which the disk is full; 0: none
}

func (m *model) fault(s step) error {
	if !takesSpace(s) {
		return nil
	}
	if m.full--; m.full != 0 {
		return nil
	}
	if s.op == "write" {
		return errShort
	}
	return noSpace(s)
}

func (m *model) open() {
	m.full = 0
	f, err := sink.OpenFolderOn(m.disk, m.dir, job, m.o)
	if err != nil {
		m.Fatalf("open: %v", err)
	}
	m.f = f
	m.claim()
}

func (m *model) claim() {
	if _, err := m.f.Claim(m.t.Context(), plan, fmt.Sprint("fetcher-", m.fetcher)); err != nil {
		m.Fatalf("claim: %v", err)
	}
}

func (m *model) reopen(r *rapid.T) {
	if err := m.f.Close(); err != nil {
		r.Fatalf("close: %v", err)
	}
	m.open()
	if got := m.f.Recovered(); got != 0 {
		r.Fatalf("recovered %d after a clean close", got)
	}
}

// draw makes the result of a chunk, or of a piece of it; sometimes from another source, in which the chunk has other
// content, one object more, or other ordinals.
func (m *model) draw(r *rapid.T) sink.Result {
	id := chunk.ID(rapid.IntRange(0, 12).Draw(r, "chunk"))
	counts := rapid.SliceOfN(rapid.IntRange(-1, 3), 4, 4).Draw(r, "counts")
	first := 4 * uint64(id)
	source := rapid.SampledFrom([]string{"source", "source", "source", "source", "source", "changed", "longer", "moved"}).Draw(r, "source")
	switch source {
	case "longer":
		counts = append(counts, 1)
	case "moved":
		first++
	}
	res := sinktest.Result(id, first, rapid.StringN(0, 30, -1).Draw(r, "salt"), counts...)
	res.Digest = sinktest.Digest(id, source)
	if from := rapid.IntRange(-3, len(counts)-1).Draw(r, "from"); from >= 0 {
		res = sinktest.Piece(res, from, rapid.IntRange(1, len(counts)-from).Draw(r, "objects"))
	}
	res.Attempt = rapid.IntRange(0, 9).Draw(r, "attempt")
	res.Version = rapid.SampledFrom([]string{"v1", "v2"}).Draw(r, "version")
	res.Term = rapid.Uint64Range(0, 3).Draw(r, "term")
	return res
}

func (m *model) fenceVersion(r *rapid.T) {
	version, term := rapid.SampledFrom([]string{"v1", "v2", "v3"}).Draw(r, "version"), rapid.Uint64Range(1, 3).Draw(r, "term")
	m.full = rapid.IntRange(-20, 8).Draw(r, "full at")
	err := m.f.FenceVersion(m.t.Context(), version, term)
	switch {
	case err == nil:
		m.terms[version] = max(m.terms[version], term)
	case !errors.Is(err, sink.ErrFull):
		r.Fatalf("fence version: %v", err)
	}
}

func (m *model) redo(r *rapid.T) {
	version := rapid.SampledFrom([]string{"v1", "v2", "v3"}).Draw(r, "version")
	m.full = rapid.IntRange(-20, 8).Draw(r, "full at")
	epoch := m.f.Epoch()
	done, err := m.f.Redo(m.t.Context(), version)
	if errors.Is(err, sink.ErrFull) {
		return
	}
	if err != nil {
		r.Fatalf("redo: %v", err)
	}
	var want sink.Redone
	chunks := make(map[chunk.ID]bool)
	maps.DeleteFunc(m.there, func(_ piece, res sink.Result) bool {
		if res.Version != version {
			return false
		}
		chunks[res.Chunk] = true
		want.Objects += uint64(res.Objects)
		want.Outputs += uint64(bytes.Count(res.Outputs, []byte("\n")))
		want.Dead += uint64(res.DeadCount)
		return true
	})
	want.Chunks = uint64(len(chunks))
	if done != want || (m.f.Epoch() > epoch) != (want.Chunks > 0) {
		r.Fatalf("redo %s: %+v, epoch %d after %d; want %+v", version, done, m.f.Epoch(), epoch, want)
	}
	if want.Chunks > 0 { // later results of the version are too late, and the fetcher is fenced; a new one claims the job
		if _, err := m.f.Claim(m.t.Context(), plan, fmt.Sprint("fetcher-", m.fetcher)); !errors.Is(err, sink.ErrFenced) {
			r.Fatalf("claim by the fetcher of before: %v, want ErrFenced", err)
		}
		m.full = 0
		m.terms[version]++
		m.fetcher++
		m.claim()
	}
}

func (m *model) commit(r *rapid.T) {
	group := make([]sink.Result, rapid.IntRange(0, 6).Draw(r, "results"))
	next := maps.Clone(m.there)
	var expect []sink.Outcome
	for i := range group {
		group[i] = m.draw(r)
		outcome := m.outcome(next, &group[i])
		if outcome == sink.Committed {
			next[pieceOf(group[i])] = group[i]
		}
		expect = append(expect, outcome)
	}
	m.full = rapid.IntRange(-20, 8).Draw(r, "full at")
	outcomes, err := m.f.Commit(m.t.Context(), group)
	switch {
	case errors.Is(err, sink.ErrFull):
		return
	case err != nil:
		r.Fatalf("commit: %v", err)
	case !slices.Equal(outcomes, expect):
		r.Fatalf("outcomes %v, want %v", outcomes, expect)
	}
	m.there = next
}

// outcome computes the outcome of a result object by object.
func (m *model) outcome(there map[piece]sink.Result, res *sink.Result) sink.Outcome {
	objects := make(map[int]bool) // of the chunk
	for _, old := range there {
		if old.Chunk != res.Chunk {
			continue
		}
		if old.Of != res.Of || old.First+uint64(res.From) != res.First+uint64(old.From) || old.Digest != res.Digest {
			return sink.Conflict
		}
		for i := range old.Objects {
			objects[old.From+i] = true
		}
	}
	found := 0
	for i := range res.Objects {
		if objects[res.From+i] {
			found++
		}
	}
	switch {
	case found == res.Objects:
		return sink.Duplicate
	case found > 0:
		return sink.Overlap
	case res.Term < m.terms[res.Version]:
		return sink.TooLate
	}
	return sink.Committed
}

func (m *model) replace(r *rapid.T) {
	res := m.draw(r)
	m.full = rapid.IntRange(-20, 8).Draw(r, "full at")
	err := sinktest.Replace(m.t, m.f, res)
	old, ok := m.there[pieceOf(res)]
	switch {
	case !ok:
		if !errors.Is(err, sink.ErrNoChunk) {
			r.Fatalf("replace: %v, want ErrNoChunk", err)
		}
	case old.Digest != res.Digest || old.Objects != res.Objects || old.First != res.First || old.Of != res.Of:
		if !errors.Is(err, sink.ErrConflict) {
			r.Fatalf("replace: %v, want ErrConflict", err)
		}
	case err == nil:
		m.there[pieceOf(res)] = res
	case !errors.Is(err, sink.ErrFull):
		r.Fatalf("replace: %v", err)
	}
}

func (m *model) check(r *rapid.T) {
	all := slices.SortedFunc(maps.Values(m.there), func(a, b sink.Result) int {
		return cmp.Or(cmp.Compare(a.Chunk, b.Chunk), a.From-b.From)
	})
	if diff := compare(m.t, m.f, all...); diff != "" {
		r.Fatal(diff)
	}
	for _, version := range []string{"v1", "v2", "v3"} {
		if got := m.f.Term(version); got != m.terms[version] {
			r.Fatalf("term of %s is %d, want %d", version, got, m.terms[version])
		}
	}
}

// TestTableAgreesWithAMap sets and removes pieces at random, of chunks with near and far IDs, and iterates in both
// directions.
func TestTableAgreesWithAMap(t *testing.T) {
	t.Parallel()
	ids := rapid.Map(rapid.OneOf(rapid.Uint64Range(0, 20), rapid.Uint64Range(250, 260), rapid.Uint64Range(5000, 5010), rapid.Uint64Min(math.MaxUint64-3)),
		func(id uint64) chunk.ID { return chunk.ID(id) })
	rapid.Check(t, func(r *rapid.T) {
		table, there := sink.NewTable(), map[chunk.ID][]sink.Placed{} // by From
		for range rapid.IntRange(0, 30).Draw(r, "changes") {
			id := ids.Draw(r, "chunk")
			n := rapid.IntRange(0, len(there[id])).Draw(r, "piece") // one more than there are: a new one
			if rapid.IntRange(0, 3).Draw(r, "remove") == 0 {
				if n < len(there[id]) {
					table.Remove(id, there[id][n].From)
					there[id] = slices.Delete(there[id], n, n+1)
				}
				continue
			}
			p := sink.Placed{At: sink.PositionOf(rapid.Uint64Range(2, 1<<sink.PlaceBits-1).Draw(r, "place"), false), Entry: sink.Entry{ID: id, Digest: sinktest.Digest(id, fmt.Sprint(n))}}
			switch {
			case n < len(there[id]):
				p.From, p.Objects, p.Of = there[id][n].From, there[id][n].Objects, there[id][n].Of
				there[id][n] = p
			case !drawPiece(r, &p.Entry, there[id]):
				continue
			default:
				there[id] = append(there[id], p)
				slices.SortFunc(there[id], func(a, b sink.Placed) int { return a.From - b.From })
			}
			table.Set(p)
		}
		var all []sink.Placed
		cut := 0
		for _, id := range slices.Sorted(maps.Keys(there)) {
			all = append(all, there[id]...)
			objects, whole := 0, false
			for _, p := range there[id] {
				objects += p.Objects
				whole = p.Objects == p.Of && p.Of < 1<<14
			}
			if len(there[id]) > 0 && !whole {
				cut++
			}
			if complete := objects > 0 && objects == there[id][0].Of; table.Complete(id) != complete {
				r.Fatalf("chunk %d with %d objects is complete: %t", id, objects, !complete)
			}
		}
		if table.InCuts() != cut {
			r.Fatalf("%d chunks take more than 24 bytes, want %d", table.InCuts(), cut)
		}
		from, limit := ids.Draw(r, "from"), rapid.IntRange(1, 10).Draw(r, "limit")
		i := slices.IndexFunc(all, func(p sink.Placed) bool { return p.ID >= from })
		if i < 0 {
			i = len(all)
		}
		same := func(what string, pieces iter.Seq[sink.Placed], want []sink.Placed) {
			var got []sink.Placed
			for p := range pieces {
				if got = append(got, p); len(got) == limit {
					break
				}
			}
			if !slices.Equal(got, want[:min(limit, len(want))]) {
				r.Fatalf("%s %d: %v, want %v", what, from, got, want)
			}
		}
		same("from", table.From(from), all[i:])
		var down []sink.Placed
		for _, id := range slices.Backward(slices.Sorted(maps.Keys(there))) {
			if id < from {
				down = append(down, there[id]...)
			}
		}
		same("below", table.Below(from), down)
		limit = len(there[from]) + 1
		same("pieces of", table.Pieces(from), there[from])
	})
}

// drawPiece draws a piece that fits between the existing ones; false: there is no room.
func drawPiece(r *rapid.T, e *sink.Entry, there []sink.Placed) bool {
	if len(there) == 0 {
		e.Of = rapid.SampledFrom([]int{1, 4, 100, 20_000}).Draw(r, "of")
	} else {
		e.Of = there[0].Of
	}
	var gaps [][2]int // from, to
	end := 0
	for _, p := range append(slices.Clone(there), sink.Placed{Entry: sink.Entry{From: e.Of}}) {
		if p.From > end {
			gaps = append(gaps, [2]int{end, p.From})
		}
		end = p.From + p.Objects
	}
	if len(gaps) == 0 {
		return false
	}
	g := rapid.SampledFrom(gaps).Draw(r, "gap")
	e.From, e.Objects = g[0], g[1]-g[0]
	if rapid.Bool().Draw(r, "short") {
		e.From = rapid.IntRange(g[0], g[1]-1).Draw(r, "from")
		e.Objects = rapid.IntRange(1, g[1]-e.From).Draw(r, "objects")
	}
	return true
}
