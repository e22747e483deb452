package sqlsink

import (
	"encoding/binary"
	"fmt"
	"iter"
	"slices"

	"github.com/chunkline/chunkline/internal/sink"
)

// pieceColumns are the columns of progress, except the job.
var pieceColumns = []string{
	"chunk BIGINT NOT NULL", "start BIGINT NOT NULL", "objects BIGINT NOT NULL", "of_objects BIGINT NOT NULL", "first BIGINT NOT NULL", "digest BYTES NOT NULL",
	"counts BYTES", "outputs BIGINT NOT NULL", "output_bytes BIGINT NOT NULL", "output_sum BIGINT NOT NULL",
	"dead BIGINT NOT NULL", "dead_bytes BIGINT NOT NULL", "dead_sum BIGINT NOT NULL",
	"attempt BIGINT NOT NULL", "mapper TEXT NOT NULL", "version TEXT NOT NULL", "kept BYTES",
}

const recordColumns = "chunk, start, objects, of_objects, first, digest, counts, output_bytes, output_sum, dead, dead_bytes, dead_sum, attempt, mapper, version"

// pieceRow returns a row of progress. kept is the compressed outputs, or nil.
func (s *Sink) pieceRow(r *sink.Record, kept []byte) []any {
	return []any{
		s.job, int64(r.Chunk), int64(r.From), int64(r.Objects), int64(r.Of), int64(r.First), r.Digest[:], encodeCounts(r.Counts),
		int64(r.OutputCount()), r.Outputs.Length, int64(r.Outputs.Sum), int64(r.DeadCount), r.Dead.Length, int64(r.Dead.Sum),
		int64(r.Attempt), r.Mapper, r.Version, kept,
	}
}

// scanRecord scans the recordColumns of a row.
func scanRecord(scan func(...any) error) (sink.Record, error) {
	var r sink.Record
	var digest, counts []byte
	err := scan(&r.Chunk, &r.From, &r.Objects, &r.Of, &r.First, &digest, &counts, &r.Outputs.Length, &r.Outputs.Sum,
		&r.DeadCount, &r.Dead.Length, &r.Dead.Sum, &r.Attempt, &r.Mapper, &r.Version)
	if err != nil {
		return r, err
	}
	copy(r.Digest[:], digest)
	if r.Counts = decodeCounts(counts, r.Objects); r.Counts == nil {
		return r, fmt.Errorf("%w: the counts of chunk %d in table progress cannot be read", sink.ErrDamaged, r.Chunk)
	}
	return r, nil
}

// encodeCounts encodes one uvarint per object; nil stands for one output of every object.
func encodeCounts(counts []int) []byte {
	if !slices.ContainsFunc(counts, func(n int) bool { return n != 1 }) {
		return nil
	}
	var b []byte
	for _, n := range counts {
		b = binary.AppendUvarint(b, uint64(n))
	}
	return b
}

func decodeCounts(b []byte, objects int) []int {
	if b == nil {
		return slices.Repeat([]int{1}, objects)
	}
	counts := make([]int, objects)
	for i := range counts {
		n, size := binary.Uvarint(b)
		if size <= 0 {
			return nil
		}
		counts[i], b = int(n), b[size:]
	}
	if len(b) > 0 {
		return nil
	}
	return counts
}

// An object is one object of a result, with its outputs.
type object struct {
	result  *sink.Result
	index   int      // in the result
	outputs [][]byte // lines without line feeds
}

func (o object) ordinal() uint64 { return o.result.First + uint64(o.index) }

// objectsOf yields the objects of a result, including those without outputs.
func objectsOf(r *sink.Result) iter.Seq[object] {
	return func(yield func(object) bool) {
		for i, outputs := range r.ByObject() {
			if !yield(object{result: r, index: i, outputs: outputs}) {
				return
			}
		}
	}
}
