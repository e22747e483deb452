package sqlsink

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/sink"
)

// A judge determines the outcomes of the results of a group.
type judge struct {
	now    *state
	pieces map[chunk.ID][]span // committed ones of the group's chunks
	before []neighbor          // for each result
	taken  []*sink.Result      // of this group, so far
}

// span is what matters of a committed piece.
type span struct {
	from, objects, of int
	first             uint64
	digest            chunk.Digest
}

// neighbor is the last piece that begins below the end of a result.
type neighbor struct {
	there bool
	chunk chunk.ID
	end   uint64 // ordinal after its last object
}

func (s *Sink) newJudge(ctx context.Context, t *tx, now *state, results []sink.Result) (*judge, error) {
	j := &judge{now: now, pieces: map[chunk.ID][]span{}, before: make([]neighbor, 0, len(results))}
	ids, ends := make([]uint64, len(results)), make([]uint64, len(results))
	for i := range results {
		ids[i], ends[i] = uint64(results[i].Chunk), results[i].First+uint64(results[i].Objects)
	}
	rows, err := t.QueryContext(ctx, s.dialect.text("SELECT chunk, start, objects, of_objects, first, digest FROM progress WHERE job = $1 AND "+
		s.dialect.inList("chunk", "$2")), s.job, numbers(ids))
	if err != nil {
		return nil, fmt.Errorf("read progress: %w", err)
	}
	err = each(rows, func() error {
		var id chunk.ID
		var p span
		var digest []byte
		err := rows.Scan(&id, &p.from, &p.objects, &p.of, &p.first, &digest)
		copy(p.digest[:], digest)
		j.pieces[id] = append(j.pieces[id], p)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read progress: %w", err)
	}
	if rows, err = t.QueryContext(ctx, s.dialect.text(s.dialect.before()), s.job, numbers(ends)); err != nil {
		return nil, fmt.Errorf("read progress: %w", err)
	}
	err = each(rows, func() error {
		var id, end *uint64
		err := rows.Scan(&id, &end)
		n := neighbor{there: end != nil}
		if n.there {
			n.chunk, n.end = chunk.ID(*id), *end
		}
		j.before = append(j.before, n)
		return err
	})
	if err == nil && len(j.before) != len(results) {
		err = fmt.Errorf("%d rows for %d results", len(j.before), len(results))
	}
	if err != nil {
		return nil, fmt.Errorf("read progress: %w", err)
	}
	return j, nil
}

// outcome returns the outcome of result i, and records the result if it is to be committed.
func (j *judge) outcome(i int, r *sink.Result) sink.Outcome {
	covered := 0
	for _, p := range j.pieces[r.Chunk] {
		if p.digest != r.Digest || p.of != r.Of || p.first-uint64(p.from) != r.First-uint64(r.From) {
			return sink.Conflict
		}
		covered += max(0, min(p.from+p.objects, r.From+r.Objects)-max(p.from, r.From))
	}
	v := j.now.versions[r.Version]
	switch {
	case covered == r.Objects:
		return sink.Duplicate
	case covered > 0:
		return sink.Overlap
	case j.meets(i, r):
		return sink.Conflict
	case r.Term < v.term:
		return sink.TooLate
	case v.transform != "" && r.Transform != "" && v.transform != r.Transform:
		return sink.OtherTransform
	}
	if r.Transform != "" && v.transform == "" {
		v.transform = r.Transform
		j.now.versions[r.Version] = v
	}
	j.pieces[r.Chunk] = append(j.pieces[r.Chunk], span{from: r.From, objects: r.Objects, of: r.Of, first: r.First, digest: r.Digest})
	j.taken = append(j.taken, r)
	return sink.Committed
}

// meets reports whether a piece of another chunk has some of r's ordinals.
func (j *judge) meets(i int, r *sink.Result) bool {
	if b := j.before[i]; b.there && b.chunk != r.Chunk && b.end > r.First {
		return true
	}
	for _, o := range j.taken {
		if o.Chunk != r.Chunk && o.First < r.First+uint64(r.Objects) && r.First < o.First+uint64(o.Objects) {
			return true
		}
	}
	return false
}

// complete reports whether the chunk of a committed piece is complete.
func (j *judge) complete(id chunk.ID) bool {
	objects := 0
	for _, p := range j.pieces[id] {
		objects += p.objects
	}
	return len(j.pieces[id]) > 0 && objects == j.pieces[id][0].of
}

// numbers returns a JSON array for inList.
func numbers(of []uint64) string {
	text, err := json.Marshal(of)
	if err != nil {
		panic(err) // numbers always encode
	}
	return string(text)
}
