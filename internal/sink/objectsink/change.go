package objectsink

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/sink"
)

// changeTimeout bounds the requests of a change. It is less than the time after which the saver's health check
// considers its commit loop dead.
const changeTimeout = 20 * time.Second

// A draft is an entry without its number, and the bodies of its pieces.
type draft struct {
	entry

	bodies []byte
}

// add adds results to the pieces.
func (d *draft) add(results ...*sink.Result) {
	for _, r := range results {
		record := sink.RecordOf(r)
		d.Pieces = append(d.Pieces, pieceOf(&record))
		d.bodies = append(append(d.bodies, r.Outputs...), r.Dead...)
	}
}

// remove adds the piece of a record to the removed ones.
func (d *draft) remove(r *sink.Record) {
	if d.Gone == nil {
		d.Gone = &removal{}
	}
	d.Gone.Pieces = append(d.Gone.Pieces, place{r.Chunk, r.From})
	d.Gone.Totals.Add(r)
}

// claim sets the claims if they differ from those of a state.
func (d *draft) claim(now *state, claims *sink.Claims) {
	if claims != now.claims {
		d.Claims = claims
	}
}

// change appends the entry that do makes from a state; nil means that there is nothing to change. If another process
// has appended an entry meanwhile, do is called again with the state after that, so it must start from scratch each
// time. If do refuses the change or finds nothing to change, change reads the entries that others have appended before
// it returns: another process may have removed a piece. The end of ctx does not interrupt the change, because its
// outcome would be unknown.
func (s *Sink) change(ctx context.Context, do func(now *state) (*draft, error)) error {
	s.changing.Lock()
	defer s.changing.Unlock()
	if err := s.usable(true); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	for {
		now := s.state.Load()
		d, err := do(now)
		if errors.Is(err, sink.ErrUnreachable) { // do could not read a record
			return s.name(err)
		}
		newest, e := s.settle(ctx, now, d)
		switch {
		case e != nil:
			return s.name(explain(e))
		case !newest:
			continue
		case err != nil:
			return s.name(err)
		}
		return nil
	}
}

// settle appends a draft to a state, or, if there is none or another process was faster, reads what others have
// appended. It returns whether the state was the newest one.
func (s *Sink) settle(ctx context.Context, now *state, d *draft) (newest bool, err error) {
	ctx, done := context.WithTimeout(context.WithoutCancel(ctx), changeTimeout)
	defer done()
	if d != nil {
		if err := s.append(ctx, d); !errors.Is(err, errTaken) {
			return true, err
		}
		return false, s.catchUp(ctx)
	}
	err = s.catchUp(ctx)
	return s.state.Load().number == now.number, err
}

// append creates the next entry of the log, and applies it. The error is errTaken if another process has created it.
// Call it with changing held.
func (s *Sink) append(ctx context.Context, d *draft) error {
	now := s.state.Load()
	e := d.entry
	e.Format, e.Sink, e.Number, e.Nonce = formatVersion, s.id(), now.number+1, rand.Text()
	if e.Number == 1 {
		e.Sink = d.Claims.ID
	}
	b, err := e.encode(d.bodies)
	if err != nil {
		return s.name(err)
	}
	err = s.Timed(func() error { return s.create(ctx, s.entryKey(e.Number), entryMediaType, b) })
	switch {
	case errors.Is(err, errTaken):
		return errTaken
	case err != nil:
		return s.name(err)
	}
	h, err := decodeHead(b)
	if err != nil {
		return s.name(err)
	}
	s.apply(&loaded{entry: &e, head: h, records: e.records(), bodies: d.bodies})
	return nil
}

const entryMediaType = "application/octet-stream"

// Claim implements saver.Sink.
func (s *Sink) Claim(ctx context.Context, plan chunk.Plan, fetcher string) (sink.Grant, error) {
	var grant sink.Grant
	err := s.change(ctx, func(now *state) (*draft, error) {
		claimed, err := now.claims.Claim(plan, fetcher)
		if err != nil {
			return nil, err
		}
		grant = claimed.Grant()
		if claimed == now.claims {
			return nil, nil
		}
		return &draft{entry: entry{Claims: claimed}}, nil
	})
	return grant, err
}

// FenceVersion implements saver.Sink.
func (s *Sink) FenceVersion(ctx context.Context, version string, term uint64) error {
	return s.change(ctx, func(now *state) (*draft, error) {
		switch {
		case now.claims.Plan == nil:
			return nil, fmt.Errorf("fence version %q: %w", version, sink.ErrUnclaimed)
		case now.claims.Terms[version] >= term:
			return nil, nil
		}
		return &draft{entry: entry{Claims: now.claims.FenceVersion(version, term)}}, nil
	})
}

// fit turns objects whose outputs cannot be rows into dead letters, if the parts are tables.
func (s *Sink) fit(results []sink.Result) (err error) {
	for i := range results {
		if results[i], err = sink.Fit(s.o.table(), results[i]); err != nil {
			return err
		}
	}
	return nil
}

// Commit implements saver.Sink. A group is one entry of the log. If the parts are tables, objects whose outputs cannot
// be rows become dead letters, also in results.
func (s *Sink) Commit(ctx context.Context, results []sink.Result) ([]sink.Outcome, error) {
	if err := errors.Join(sink.CheckResults(results), s.fit(results)); err != nil {
		return nil, err
	}
	if len(results) > maxPieces {
		return nil, s.name(fmt.Errorf("commit of %d results: %w", len(results), sink.ErrInvalid))
	}
	var outcomes []sink.Outcome
	err := s.change(ctx, func(now *state) (*draft, error) {
		if now.claims.Plan == nil {
			return nil, sink.ErrUnclaimed
		}
		var bound *sink.Claims
		var err error
		if outcomes, bound, err = now.claims.Outcomes(results, s.table, s.RecordAt); err != nil {
			return nil, err
		}
		d := &draft{}
		for i, outcome := range outcomes {
			if outcome == sink.Committed {
				d.add(&results[i])
			}
		}
		if len(d.Pieces) == 0 {
			return nil, nil
		}
		d.claim(now, bound)
		return d, nil
	})
	if err != nil {
		return nil, err
	}
	return outcomes, nil
}

// Replace atomically replaces the committed result of a piece by results that together have its objects, for dead
// letters that were retried. old is the record that they were made from: if the piece has another one by now, it stays.
// The old bytes stay in the log, and Finish must make another generation. Errors are those of Commit, and ErrNoChunk,
// ErrChanged and ErrConflict, which change nothing.
func (s *Sink) Replace(ctx context.Context, old sink.Record, results ...sink.Result) error {
	if err := errors.Join(sink.CheckResults(results), s.fit(results)); err != nil {
		return err
	}
	return s.change(ctx, func(now *state) (*draft, error) { //nolint:contextcheck // a read has a limit of its own
		var there *sink.Record
		if p, committed := s.table.Get(old.Chunk, old.From); committed {
			r, err := s.RecordAt(p)
			if err != nil {
				return nil, err
			}
			there = &r
		}
		bound, err := now.claims.Replace(there, &old, results)
		if err != nil {
			return nil, err
		}
		d := &draft{}
		d.remove(there)
		for i := range results {
			d.add(&results[i])
		}
		d.claim(now, bound)
		return d, nil
	})
}

// Redo removes the results of a mapper version in one entry, so that the job's next fetcher has their chunks mapped
// again. Like the folder's Redo, it gives the job a new epoch and fences the version. If there is nothing to remove,
// nothing changes. Errors are those of Commit.
func (s *Sink) Redo(ctx context.Context, version string) (sink.Redone, error) {
	var done sink.Redone
	var bad []found
	scanned := uint64(0)                                    // the newest entry whose pieces were examined
	err := s.change(ctx, func(now *state) (*draft, error) { //nolint:contextcheck // a read has a limit of its own
		bad = slices.DeleteFunc(bad, func(f found) bool { // removed or replaced meanwhile
			p, there := s.table.Get(f.placed.ID, f.placed.From)
			return !there || p != f.placed
		})
		for p := range s.table.From(0) {
			if number, _ := entryOf(p.At); number <= scanned {
				continue
			}
			r, err := s.RecordAt(p)
			if err != nil {
				return nil, err
			}
			if r.Version == version {
				bad = append(bad, found{p, r})
			}
		}
		scanned, done = now.number, sink.Redone{}
		if len(bad) == 0 {
			return nil, nil
		}
		d := &draft{entry: entry{Claims: now.claims.Redo(version)}}
		chunks := map[chunk.ID]bool{}
		for i := range bad {
			d.remove(&bad[i].record)
			chunks[bad[i].record.Chunk] = true
		}
		t := d.Gone.Totals
		done = sink.Redone{Chunks: uint64(len(chunks)), Objects: t.Objects, Outputs: t.Outputs, Dead: t.Dead}
		return d, nil
	})
	if err != nil {
		return sink.Redone{}, err
	}
	return done, nil
}

// found is a piece that Redo removes.
type found struct {
	placed sink.Placed
	record sink.Record
}
