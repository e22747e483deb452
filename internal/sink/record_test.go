package sink_test

import (
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/sink"
)

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
