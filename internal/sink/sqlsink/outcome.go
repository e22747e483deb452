package sqlsink

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/sink"
)

// A decider decides the outcomes of the results of a group, in order.
type decider struct {
	claims *sink.Claims               // after the results that are to be committed
	pieces map[chunk.ID][]sink.Record // of the group's chunks, that are or will be committed; without bodies, counts and mapper
	before []neighbor                 // for each result
	taken  []*sink.Result             // those that are to be committed
}

// neighbor is the last piece that begins below the end of a result.
type neighbor struct {
	there bool
	chunk chunk.ID
	end   uint64 // ordinal after its last object
}

func (s *Sink) newDecider(ctx context.Context, t *tx, claims *sink.Claims, results []sink.Result) (*decider, error) {
	d := &decider{claims: claims, pieces: map[chunk.ID][]sink.Record{}, before: make([]neighbor, 0, len(results))}
	ids, ends := make([]uint64, len(results)), make([]uint64, len(results))
	for i := range results {
		ids[i], ends[i] = uint64(results[i].Chunk), results[i].First+uint64(results[i].Objects)
	}
	query := s.dialect.text("SELECT chunk, start, objects, of_objects, first, digest FROM progress WHERE job = $1 AND " + s.dialect.inList("chunk", "$2"))
	err := each(ctx, t, query, []any{s.job, numbers(ids)}, func(scan func(...any) error) error {
		var p sink.Record
		var digest []byte
		err := scan(&p.Chunk, &p.From, &p.Objects, &p.Of, &p.First, &digest)
		copy(p.Digest[:], digest)
		d.pieces[p.Chunk] = append(d.pieces[p.Chunk], p)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read progress: %w", err)
	}
	err = each(ctx, t, s.dialect.text(s.dialect.before()), []any{s.job, numbers(ends)}, func(scan func(...any) error) error {
		var id, end *uint64
		err := scan(&id, &end)
		n := neighbor{there: end != nil}
		if n.there {
			n.chunk, n.end = chunk.ID(*id), *end
		}
		d.before = append(d.before, n)
		return err
	})
	if err == nil && len(d.before) != len(results) {
		err = fmt.Errorf("%d rows for %d results", len(d.before), len(results))
	}
	if err != nil {
		return nil, fmt.Errorf("read progress: %w", err)
	}
	return d, nil
}

// outcome returns the outcome of result i.
func (d *decider) outcome(i int, r *sink.Result) sink.Outcome {
	there := sink.Comparison{Conflict: d.sharesOrdinals(i, r)}
	for _, p := range d.pieces[r.Chunk] {
		there.Add(r, p.Entry(), p.First-uint64(p.From))
	}
	outcome := d.claims.Outcome(r, there)
	if outcome == sink.Committed {
		d.claims = d.claims.Bind(r)
		d.taken = append(d.taken, r)
		d.pieces[r.Chunk] = append(d.pieces[r.Chunk], sink.Record{Chunk: r.Chunk, From: r.From, Of: r.Of, First: r.First, Objects: r.Objects, Digest: r.Digest})
	}
	return outcome
}

// sharesOrdinals reports whether a piece of another chunk has some of r's ordinals.
func (d *decider) sharesOrdinals(i int, r *sink.Result) bool {
	if b := d.before[i]; b.there && b.chunk != r.Chunk && b.end > r.First {
		return true
	}
	for _, o := range d.taken {
		if o.Chunk != r.Chunk && o.First < r.First+uint64(r.Objects) && r.First < o.First+uint64(o.Objects) {
			return true
		}
	}
	return false
}

// completed returns how many chunks the results that are to be committed complete.
func (d *decider) completed() uint64 {
	complete := map[chunk.ID]bool{}
	for _, r := range d.taken {
		objects := 0
		for _, p := range d.pieces[r.Chunk] {
			objects += p.Objects
		}
		if objects == r.Of {
			complete[r.Chunk] = true
		}
	}
	return uint64(len(complete))
}

// numbers returns a JSON array for inList.
func numbers(of []uint64) string {
	text, err := json.Marshal(of)
	if err != nil {
		panic(err) // numbers always encode
	}
	return string(text)
}
