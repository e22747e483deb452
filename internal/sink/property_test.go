package sink_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/sink/sinktest"
)

// TestFolderAgreesWithAMap does things at random to a folder and to a map, on
// a disk that is full at times, and compares.
func TestFolderAgreesWithAMap(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		m := &model{T: r, t: t, disk: newTestFS(), dir: filepath.Join(t.TempDir(), "sink"), there: make(map[chunk.ID]sink.Result)}
		m.o.PartBytes = rapid.Int64Range(1, 2000).Draw(r, "part bytes")
		m.disk.before = m.fault
		m.open()
		defer func() { m.f.Close() }() // whatever it is by then; the test has its answer
		r.Repeat(map[string]func(*rapid.T){
			"commit":  m.commit,
			"replace": m.replace,
			"redo":    m.redo,
			"reopen":  m.reopen,
			"":        m.check,
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
	there   map[chunk.ID]sink.Result
	fetcher int // the number of the one that runs the job
	full    int // the step, counted down, that finds the disk full; 0: none
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
	if got := m.f.Recovered(); got != (sink.Recovered{}) {
		r.Fatalf("recovered %+v after a clean close", got)
	}
}

// draw makes a result; each chunk has a fixed place among the ordinals, so the
// digest tells whether it was made from the same objects.
func (m *model) draw(r *rapid.T) sink.Result {
	id := chunk.ID(rapid.IntRange(0, 40).Draw(r, "chunk"))
	counts := rapid.SliceOfN(rapid.IntRange(-1, 3), 4, 4).Draw(r, "counts")
	res := sinktest.Result(id, 4*uint64(id), rapid.StringN(0, 30, -1).Draw(r, "salt"), counts...)
	res.Digest = sinktest.Digest(id, rapid.SampledFrom([]string{"source", "source", "source", "changed"}).Draw(r, "source"))
	res.Attempt = rapid.IntRange(0, 9).Draw(r, "attempt")
	res.Version = rapid.SampledFrom([]string{"v1", "v2"}).Draw(r, "version")
	return res
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
	maps.DeleteFunc(m.there, func(_ chunk.ID, res sink.Result) bool {
		if res.Version != version {
			return false
		}
		want.Chunks++
		want.Objects += uint64(res.Objects)
		want.Outputs += uint64(bytes.Count(res.Outputs, []byte("\n")))
		want.Dead += uint64(res.DeadCount)
		return true
	})
	if done != want || (m.f.Epoch() > epoch) != (want.Chunks > 0) {
		r.Fatalf("redo %s: %+v, epoch %d after %d; want %+v", version, done, m.f.Epoch(), epoch, want)
	}
	if want.Chunks > 0 { // whoever ran the job is fenced; a new one claims it
		if _, err := m.f.Claim(m.t.Context(), plan, fmt.Sprint("fetcher-", m.fetcher)); !errors.Is(err, sink.ErrFenced) {
			r.Fatalf("claim by the fetcher of before: %v, want ErrFenced", err)
		}
		m.full = 0
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
		old, ok := next[group[i].Chunk]
		switch {
		case !ok:
			next[group[i].Chunk] = group[i]
			expect = append(expect, sink.Committed)
		case old.Digest == group[i].Digest:
			expect = append(expect, sink.Duplicate)
		default:
			expect = append(expect, sink.Conflict)
		}
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

func (m *model) replace(r *rapid.T) {
	res := m.draw(r)
	m.full = rapid.IntRange(-20, 8).Draw(r, "full at")
	err := m.f.Replace(m.t.Context(), res)
	old, ok := m.there[res.Chunk]
	switch {
	case !ok:
		if !errors.Is(err, sink.ErrNoChunk) {
			r.Fatalf("replace: %v, want ErrNoChunk", err)
		}
	case old.Digest != res.Digest:
		if !errors.Is(err, sink.ErrConflict) {
			r.Fatalf("replace: %v, want ErrConflict", err)
		}
	case err == nil:
		m.there[res.Chunk] = res
	case !errors.Is(err, sink.ErrFull):
		r.Fatalf("replace: %v", err)
	}
}

func (m *model) check(r *rapid.T) {
	var all []sink.Result
	for _, id := range slices.Sorted(maps.Keys(m.there)) {
		all = append(all, m.there[id])
	}
	if diff := compare(m.t, m.f, all...); diff != "" {
		r.Fatal(diff)
	}
}

// TestRecordsSurviveCoding, and what is not a record is never taken for one.
func TestRecordsSurviveCoding(t *testing.T) {
	t.Parallel()
	ranges := rapid.Custom(func(r *rapid.T) sink.Range {
		length := rapid.Int64Min(0).Draw(r, "length")
		if length == 0 {
			return sink.Range{}
		}
		return sink.Range{
			Length: length, Part: rapid.IntRange(0, 1<<31).Draw(r, "part"),
			Offset: rapid.Int64Min(0).Draw(r, "offset"), Sum: rapid.Uint32().Draw(r, "sum"),
		}
	})
	rapid.Check(t, func(r *rapid.T) {
		rec := sink.Record{
			Chunk: chunk.ID(rapid.Uint64().Draw(r, "chunk")), First: rapid.Uint64().Draw(r, "first"),
			Counts:    rapid.SliceOfN(rapid.OneOf(rapid.Just(1), rapid.IntRange(0, 3), rapid.IntMin(0)), 1, 300).Draw(r, "counts"),
			Outputs:   ranges.Draw(r, "outputs"),
			Dead:      ranges.Draw(r, "dead"),
			DeadCount: rapid.IntMin(0).Draw(r, "dead count"), Attempt: rapid.IntMin(0).Draw(r, "attempt"),
			Mapper: rapid.String().Draw(r, "mapper"), Version: rapid.String().Draw(r, "version"),
		}
		rec.Objects = len(rec.Counts)
		copy(rec.Digest[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(r, "digest"))
		key, value := sink.ChunkKey(rec.Chunk), rec.Encode()
		got, err := sink.DecodeRecord(key, value)
		if err != nil || !reflect.DeepEqual(got, rec) {
			r.Fatalf("decoded %+v, %v, want %+v", got, err, rec)
		}
		bad := slices.Clone(append(key, value...))
		bad[rapid.IntRange(0, len(bad)-1).Draw(r, "at")] ^= 1 << rapid.IntRange(0, 7).Draw(r, "bit")
		if got, err := sink.DecodeRecord(bad[:8], bad[8:]); err == nil {
			r.Fatalf("a flipped bit gives %+v", got)
		}
		if got, err := sink.DecodeRecord(key, value[:rapid.IntRange(0, len(value)-1).Draw(r, "cut")]); err == nil {
			r.Fatalf("a cut value gives %+v", got)
		}
	})
}

// A hundred objects of one output each, the usual chunk, take few bytes.
func TestRecordIsSmall(t *testing.T) {
	t.Parallel()
	rec := sink.Record{
		Chunk: 100_000, First: 10_000_000, Objects: 100, Counts: slices.Repeat([]int{1}, 100), Attempt: 1,
		Outputs: sink.Range{Part: 3, Offset: 1 << 29, Length: 15_000, Sum: 1}, Mapper: "mapper-7c9f8d-x2x4z", Version: "v1.2.3",
	}
	if n := len(rec.Encode()); n > 80 {
		t.Errorf("a record has %d bytes", n)
	}
}

// TestCoverageAgreesWithAnArray adds ranges at random.
func TestCoverageAgreesWithAnArray(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		var covered [64]bool
		var c sink.Coverage
		var bytes int64
		for range rapid.IntRange(0, 40).Draw(r, "ranges") {
			from := rapid.IntRange(0, len(covered)-1).Draw(r, "from")
			to := min(len(covered), from+rapid.IntRange(1, 10).Draw(r, "length"))
			free := !slices.Contains(covered[from:to], true)
			if got := c.Add(int64(from), int64(to)); got != free {
				r.Fatalf("add [%d, %d) to %v: %t, want %t", from, to, c, got, free)
			}
			if !free {
				continue
			}
			for i := from; i < to; i++ {
				covered[i] = true
				bytes++
			}
			if c.Bytes() != bytes {
				r.Fatalf("%v has %d bytes, want %d", c, c.Bytes(), bytes)
			}
			for i := 1; i < len(c); i++ {
				if reflect.ValueOf(c[i-1]).Field(1).Int() >= reflect.ValueOf(c[i]).Field(0).Int() {
					r.Fatalf("%v is not in order, or not merged", c)
				}
			}
		}
	})
}
