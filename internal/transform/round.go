package transform

import (
	"context"
	"errors"
	"fmt"
)

// A turn is a try of an object.
type turn struct {
	index int
	tries int  // that failed before
	alone bool // see upcoming
}

// first returns the turns of all objects that are to be mapped, and fails the others.
func (r *run) first(out *Output) []turn {
	round := make([]turn, 0, len(r.items))
	skip := r.skip
	for i := range r.items {
		if len(skip) == 0 || skip[0].Index != i {
			round = append(round, turn{index: i})
			continue
		}
		out.fail(i, skip[0].Reason)
		for len(skip) > 0 && skip[0].Index == i {
			skip = skip[1:]
		}
	}
	r.reorder = len(out.Failed) > 0
	return round
}

// mapRound maps the objects of a round, some of them again if that is needed.
func (r *run) mapRound(ctx context.Context, out *Output, round []turn) error {
	if b, ok := r.t.(batcher); ok && r.before == nil {
		objects := make([]upcoming, len(round))
		for n, turn := range round {
			objects[n] = upcoming{object: r.items[turn.index].object, alone: turn.alone}
		}
		b.ahead(ctx, objects, r.time)
	}
	again := retrace{suspect: -1}
	r.moveTo(&again, 0, out)
	for {
		if redo, err := r.walk(ctx, out, round, &again); !redo {
			return err
		}
	}
}

// A retrace records which objects of a round must be mapped again after a process failed with unproved answers.
type retrace struct {
	// The answers before this turn are proved. lines, failed and waiting are the numbers at that point.
	turn, lines, failed, waiting int

	suspect int  // turn at which a process failed after unproved answers; -1: none
	tried   bool // that object has had its first try
	stuck   bool // the process failed again during a retrace
}

// moveTo records that all answers before a turn are proved.
func (r *run) moveTo(t *retrace, turn int, out *Output) {
	t.turn, t.lines, t.failed, t.waiting, t.stuck = turn, len(out.Lines), len(out.Failed), len(r.retries.waiting), false
}

// goBack drops the results of the turns that must be repeated.
func (r *run) goBack(t *retrace, round []turn, out *Output) {
	out.Lines, out.Failed, r.retries.waiting = out.Lines[:t.lines], out.Failed[:t.failed], r.retries.waiting[:t.waiting]
	for _, turn := range round[t.turn:] {
		out.Counts[turn.index] = 0
	}
}

// walk takes the turns of a round from t.turn on. It returns true if it must be called again, because some answers are
// no longer certain.
func (r *run) walk(ctx context.Context, out *Output, round []turn, t *retrace) (again bool, err error) {
	for n := t.turn; n < len(round); n++ {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		if n == t.suspect {
			if err := r.child.prove(ctx); err != nil {
				return false, err
			}
			r.child.step(false)
			r.moveTo(t, n, out)
		}
		i := round[n].index
		if err := r.announce(i); err != nil {
			return false, err
		}
		lines, count, err := r.object(ctx, r.items[i].object, out.Lines, n == t.suspect && t.tried)
		final := true
		switch {
		case err == nil && len(lines) > r.total:
			out.fail(i, fmt.Sprintf("the outputs of its chunk are larger than the limit of %d bytes: make chunks smaller (--chunk-size, CHUNK_SIZE)", r.total))
		case err == nil:
			r.items[i].from, r.items[i].to = len(out.Lines), len(lines)
			out.Lines, out.Counts[i] = lines, count
		case ctx.Err() != nil, errors.Is(err, ErrBroken), errors.Is(err, errDesync):
			return false, err
		case errors.Is(err, errUnproved):
			r.goBack(t, round, out)
			r.child.step(t.stuck) // after a second failure each answer is proved at once, so no object is repeated
			t.suspect, t.tried, t.stuck = n, !errors.Is(err, errExited), true
			return true, nil
		default:
			if final = !r.retries.postpone(round[n], err); final {
				out.fail(i, tried(round[n], err))
				out.Failed[len(out.Failed)-1].Late = r.passed
			}
		}
		if r.child != nil && r.child.proven() {
			r.moveTo(t, n+1, out)
		}
		if final && r.after != nil {
			r.after(i, out.failure(i))
		}
	}
	return false, nil
}

// announce calls before, if there is one.
func (r *run) announce(index int) error {
	if r.before == nil {
		return nil
	}
	if err := r.before(index); err != nil {
		return fmt.Errorf("announce object %d: %w", index, err)
	}
	return nil
}
