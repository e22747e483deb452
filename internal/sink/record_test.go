package sink_test

import (
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/sink"
)

// TestRecordsSurviveCoding: records survive, and other bytes are never mistaken for one.
func TestRecordsSurviveCoding(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		rec := sink.Record{
			Chunk: chunk.ID(rapid.Uint64().Draw(r, "chunk")), First: rapid.Uint64().Draw(r, "first"),
			Counts:    rapid.SliceOfN(rapid.OneOf(rapid.Just(1), rapid.IntRange(0, 3), rapid.IntMin(0)), 1, 300).Draw(r, "counts"),
			DeadCount: rapid.IntMin(0).Draw(r, "dead count"), Attempt: rapid.IntMin(0).Draw(r, "attempt"),
			Mapper: rapid.String().Draw(r, "mapper"), Version: rapid.String().Draw(r, "version"),
		}
		for _, body := range []*sink.Range{&rec.Outputs, &rec.Dead} {
			if body.Length = rapid.Int64Range(0, 1000).Draw(r, "length"); body.Length > 0 {
				body.Sum = rapid.Uint32().Draw(r, "sum")
			}
		}
		rec.Objects = len(rec.Counts)
		rec.From = rapid.IntRange(0, int(min(rec.First, 1000))).Draw(r, "from")
		rec.Of = rec.From + rec.Objects + rapid.IntRange(0, 1000).Draw(r, "behind")
		copy(rec.Digest[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(r, "digest"))
		frame := rec.Encode()
		want, at := rec, int64(40+len(frame)) // a frame at byte 40 of part 3, followed by its body, outputs first
		for _, body := range []*sink.Range{&want.Outputs, &want.Dead} {
			if body.Length > 0 {
				body.Part, body.Offset = 3, at
				at += body.Length
			}
		}
		got, ok := sink.DecodeRecord(frame)
		if !ok || !reflect.DeepEqual(got, want) {
			r.Fatalf("decoded %+v, %t, want %+v", got, ok, want)
		}
		bad := slices.Clone(frame)
		bad[rapid.IntRange(0, len(bad)-1).Draw(r, "at")] ^= 1 << rapid.IntRange(0, 7).Draw(r, "bit")
		if got, ok := sink.DecodeRecord(bad); ok {
			r.Fatalf("a flipped bit gives %+v", got)
		}
		if got, ok := sink.DecodeRecord(frame[:rapid.IntRange(0, len(frame)-1).Draw(r, "cut")]); ok {
			r.Fatalf("a cut frame gives %+v", got)
		}
	})
}

// The usual chunk, a hundred objects with one output each, takes few bytes.
func TestRecordIsSmall(t *testing.T) {
	t.Parallel()
	rec := sink.Record{
		Chunk: 100_000, Of: 100, First: 10_000_000, Objects: 100, Counts: slices.Repeat([]int{1}, 100), Attempt: 1,
		Outputs: sink.Range{Length: 15_000, Sum: 1}, Mapper: "mapper-7c9f8d-x2x4z", Version: "v1.2.3",
	}
	if n := len(rec.Encode()); n > 110 {
		t.Errorf("a record has %d bytes", n)
	}
}
