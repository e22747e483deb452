//go:build long

package hostile

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chunkline/chunkline/internal/wire"
	"github.com/chunkline/chunkline/test/proc"
)

// TestOverlappingPieces: a restarted fetcher cuts chunks into other pieces, so an attacker can have
// valid tokens of overlapping pieces. The first result counts, and no object is saved twice.
func TestOverlappingPieces(t *testing.T) {
	t.Parallel()
	j := newJob(t, 2000)
	j.saver()
	fetcher := j.fetcher()
	small := j.leaseAt(1 << 62)
	fetcher.Kill()
	fetcher.Start()
	// The server may still pass an earlier request to the killed fetcher, which never answers it.
	proc.Eventually(t, "the second fetcher", func() bool { return strings.Count(fetcher.Log(), "fetcher serves") == 2 })
	large := j.lease()
	if s, l := small.Grant[0].Piece(), large.Grant[0].Piece(); s.Len() != 1 || !l.Contains(s) || l.Len() != 100 {
		t.Fatalf("got %s and %s, want one object, and the whole chunk that has it", s, l)
	}
	one, all := j.result(small).Results[0], j.result(large).Results[0]
	for _, c := range []struct {
		name    string
		results []wire.Result
		want    []wire.SaveStatus
	}{
		{"a piece, and one that has more", []wire.Result{one, all}, []wire.SaveStatus{wire.SaveCommitted, wire.SaveRefused}},
		{"the other way round", []wire.Result{all, one}, []wire.SaveStatus{wire.SaveRefused, wire.SaveDuplicate}},
	} {
		got := j.save(wire.Save{Plan: large.Plan, Epoch: large.Epoch, Mapper: self, Results: c.results}.Encode())
		if !slices.Equal(got.Statuses, c.want) {
			t.Errorf("%s: %s %s, want %s", c.name, got.Statuses, got.Reason, c.want)
		}
	}
	j.mapper("mapper", "users")
	j.end(fetcher)
}

// TestPaces: whatever pace a mapper claims, its grant is bounded, and the pieces that it does not
// list are handed out again.
func TestPaces(t *testing.T) {
	t.Parallel()
	j := newJob(t, 6000)
	j.saver()
	fetcher := j.fetcher()
	for _, c := range []struct {
		pace        time.Duration
		least, most int // objects
	}{
		{1 << 62, 1, 1},
		{1, 100, 6000},
		{0, 1, 6000}, // not measured: the last pace of its version counts
	} {
		work, objects, size := j.leaseAt(c.pace), 0, 0
		for _, g := range work.Grant {
			objects, size = objects+g.Chunk.Count, size+len(g.Chunk.Body)
		}
		largest := 100 * size / objects // of a chunk: the last piece may exceed the limit
		if objects < c.least || objects > c.most || len(work.Grant) > wire.MaxPieces || size > 512<<10+2*largest {
			t.Errorf("pace %d: got %d pieces of %d objects, %d bytes, want %d to %d objects in at most %d pieces and 512 KiB",
				c.pace, len(work.Grant), objects, size, c.least, c.most, wire.MaxPieces)
		}
	}
	j.mapper("mapper", "users")
	j.end(fetcher)
}

// TestLyingBodies: the description of a piece may contradict the lines after it. The saver trusts only
// those lines, and saves nothing of a message that contradicts itself.
func TestLyingBodies(t *testing.T) {
	t.Parallel()
	j := newJob(t, 2000)
	j.saver()
	fetcher := j.fetcher()
	good := j.result(j.leaseAt(1 << 62))
	honest := good.Results[0]
	size := fmt.Sprintf(`"bytes":%d`, len(honest.Outputs))
	busy, refused := wire.SaveBusy, wire.SaveRefused
	for _, c := range []struct {
		name, old, lie string
		want           wire.SaveStatus
	}{
		{"a byte more than there is", size, fmt.Sprintf(`"bytes":%d`, len(honest.Outputs)+1), busy},
		{"a byte less", size, fmt.Sprintf(`"bytes":%d`, len(honest.Outputs)-1), busy},
		{"nothing", size, `"bytes":0`, busy},
		{"less than nothing", size, `"bytes":-1`, busy},
		{"as many bytes as a number can say", size, `"bytes":9223372036854775807`, busy},
		{"more than that", size, `"bytes":1e30`, refused},
		{"dead letters that are not there", size, size + `,"dead_bytes":9223372036854775807`, busy},
		{"more dead letters than objects", size, size + `,"dead":9223372036854775807`, refused},
		{"a huge count", `"counts":"1"`, `"counts":"9223372036854775807"`, refused},
		{"a huge run of counts", `"counts":"1"`, `"counts":"1x9223372036854775807"`, refused},
		{"a huge number of objects", `"objects":1`, `"objects":9223372036854775807`, refused},
		{"a chunk of too many objects", `"of":100`, `"of":9223372036854775807`, refused},
		{"objects before the first one", `"objects":1`, `"from":-1,"objects":1`, refused},
		{"objects after the last one", `"objects":1`, `"from":100,"objects":1`, refused},
		{"no end of the line", "\n", " ", busy},
		{"brackets", "{", strings.Repeat("[", 200_000), refused},
		{"two descriptions in a line", "}\n", "}{}\n", refused},
	} {
		m := good.Encode()
		if n := bytes.Count(m.Body, []byte(c.old)); n == 0 {
			t.Fatalf("%s: no %s in %s", c.name, c.old, m.Body)
		}
		m.Body = bytes.Replace(m.Body, []byte(c.old), []byte(c.lie), 1)
		if c.old == "\n" {
			m.Body = bytes.ReplaceAll(m.Body, []byte(c.old), []byte(c.lie))
		}
		m.Header["Chunkline-Sum"] = sum(m.Body)
		if got := j.save(m); got.Of(0) != c.want || len(got.Statuses) != 1 {
			t.Errorf("%s: %s %s, want %s", c.name, got.Statuses, got.Reason, c.want)
		}
	}

	many := good
	many.Results = slices.Repeat(good.Results, wire.MaxPieces+1)
	if got := j.save(many.Encode()); got.Of(0) != refused || !strings.Contains(got.Reason, "more than 1024 results") {
		t.Errorf("one result too many: %s %s, want refused for it", got.Statuses[0], got.Reason)
	}
	if s := j.status(); s.Objects.Saved != 0 || s.Summary.Objects != 0 {
		t.Errorf("lies: the fetcher counts %d objects as saved, the sink %d; want none", s.Objects.Saved, s.Summary.Objects)
	}
	many.Results = many.Results[1:]
	got := j.save(many.Encode())
	want := slices.Repeat([]wire.SaveStatus{wire.SaveDuplicate}, wire.MaxPieces)
	want[0] = wire.SaveCommitted
	if !slices.Equal(got.Statuses, want) {
		t.Errorf("one result as often as a message can hold it: %s, want it committed, then duplicates", got.Statuses)
	}
	j.mapper("mapper", "users")
	j.end(fetcher)
}
