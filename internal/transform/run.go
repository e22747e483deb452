package transform

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/chunkline/chunkline/internal/chunk"
)

// Options say how Run treats each object.
type Options struct {
	// Timeout bounds one try of one object. 0 means none. identity and users
	// neither wait nor loop and are not bounded; users simulates its duration once
	// a chunk.
	Timeout time.Duration

	// Before is called with the index of each object, in order, before the object
	// is mapped (careful mode), and again if the chunk is mapped again. If it
	// fails, Run returns its error. May be nil.
	Before func(index int) error

	// After is called with the index of each object that was mapped, or that failed
	// (failed is not nil), and again if the chunk is mapped again. May be nil.
	After func(index int, failed *Failure)

	// Tests lower these limits; 0 means maxOutput and maxTotal.
	maxOutput, maxTotal int
}

const (
	// maxOutput is the most bytes in the outputs of one object: the largest
	// object with its line break.
	maxOutput = chunk.MaxObject + 1

	// maxTotal is the most bytes in the outputs of a chunk. Every object that
	// would exceed it fails. A result with its dead letters must stay below
	// the gigabyte that one message can carry.
	maxTotal = 512 << 20
)

// Output is the result of a chunk.
// Invariant: the sum of Counts is the number of lines in Lines, and an object
// in Failed has the count 0.
type Output struct {
	Counts []int // outputs of each object
	Lines  []byte
	Failed []Failure // ascending Index
}

// A Failure is an object that could not be mapped and becomes a dead letter.
type Failure struct {
	Index int    // of the object within the chunk
	Err   string // valid UTF-8, at most 8 KiB
	Late  bool   // the object exceeded Timeout
}

// maxReason bounds the text of a failure in bytes: it travels in a message and is
// stored with the dead letter.
const maxReason = 8 << 10

// supervised is a transform whose answers come from another process, so that they
// can be late, doubled or missing.
type supervised interface {
	Chunker
	confirm(ctx context.Context) error // checks that nothing followed the last answer; Run calls it after each Map
	prove(ctx context.Context) error   // waits until every answer is known to belong to its object
	proven() bool                      // reports whether every answer is known to belong to its object
	step(on bool)                      // whether to prove after each answer
	strict(level int)                  // the chunk is mapped again, for the level-th time, with longer waits
	aborter
}

// A batcher is a transform that can work ahead. ahead tells it, before the first
// Map, which objects will follow and in which order. Map may still repeat one of
// them, or pass another object.
type batcher interface {
	ahead(objects [][]byte, timeout time.Duration)
}

// An eager transform has the outputs of some objects without waiting. Each timeout
// costs a timer, so Run calls now first. If it is not done, Run calls Map.
type eager interface {
	now(ctx context.Context, object, dst []byte) (out []byte, done bool, err error)
}

// An aborter has something running that must be cleaned up when a chunk ends early.
type aborter interface{ abort() }

// A faultError means that the process failed, not that it answered with an error.
// The object gets one more try in a new process.
type faultError struct{ text string }

func (f *faultError) Error() string { return f.text }

func isFault(err error) bool {
	_, ok := errors.AsType[*faultError](err)
	return ok
}

// strictest is how often a chunk is mapped again; each time the wait after every
// answer is eight times as long.
const strictest = 4

// errDesync means that answers of this chunk may belong to other objects.
var errDesync = errors.New("answers do not match the objects")

// quick is a transform that neither waits nor loops, and so needs no timeout.
type quick interface{ quick() }

// Run maps the objects of body, one a line. The objects in skip (in any order) are
// not mapped and fail with their Reason. A failed object is not an error of Run.
//
// Run returns an error, and no result, only if ctx ended (ctx.Err()), Before
// failed, skip is out of range, or the transform cannot work at all (ErrBroken).
func Run(ctx context.Context, t Transform, body []byte, skip []chunk.Flaw, o Options) (Output, error) {
	r := newRun(t, body, o)
	var err error
	if r.skip, err = sorted(skip, r.objects); err != nil {
		return Output{}, err
	}
	out, err := r.pass(ctx, 0)
	for level := 1; level <= strictest && errors.Is(err, errDesync) && ctx.Err() == nil; level++ {
		out, err = r.pass(ctx, level)
	}
	if err == nil {
		return out, nil
	}
	if t, ok := t.(aborter); ok {
		t.abort()
	}
	if ctx.Err() != nil {
		return Output{}, ctx.Err()
	}
	return Output{}, err
}

// A run is one call of Run.
type run struct {
	t       Transform
	child   supervised // t if it is supervised, else nil
	body    []byte
	objects int
	skip    []chunk.Flaw // ascending Index
	limit   int          // bytes of one object's outputs
	total   int          // bytes of all outputs
	timeout time.Duration
	late    error // the cause of a context whose timeout has passed
	passed  bool  // the timeout had passed at the end of the last try
	before  func(int) error
	after   func(int, *Failure)
}

func newRun(t Transform, body []byte, o Options) *run {
	r := &run{t: t, body: body, timeout: o.Timeout, before: o.Before, after: o.After}
	r.child, _ = t.(supervised)
	r.objects = bytes.Count(body, []byte{'\n'})
	if len(body) > 0 && body[len(body)-1] != '\n' {
		r.objects++
	}
	r.limit, r.total = cmp.Or(o.maxOutput, maxOutput), cmp.Or(o.maxTotal, maxTotal)
	if _, ok := t.(quick); ok {
		r.timeout = 0
	}
	r.late = fmt.Errorf("no result within %v (--timeout, TIMEOUT)", r.timeout)
	return r
}

func sorted(skip []chunk.Flaw, objects int) ([]chunk.Flaw, error) {
	byIndex := func(a, b chunk.Flaw) int { return cmp.Compare(a.Index, b.Index) }
	if !slices.IsSortedFunc(skip, byIndex) {
		skip = slices.Clone(skip)
		slices.SortStableFunc(skip, byIndex)
	}
	for _, flaw := range skip {
		if flaw.Index < 0 || flaw.Index >= objects {
			return nil, fmt.Errorf("skip object %d of a chunk of %d objects", flaw.Index, objects)
		}
	}
	return skip, nil
}

func (r *run) pass(ctx context.Context, level int) (Output, error) {
	out := Output{Counts: make([]int, r.objects), Lines: make([]byte, 0, len(r.body))}
	chunker, _ := r.t.(Chunker)
	if chunker != nil {
		if err := chunker.Begin(ctx); err != nil {
			return Output{}, err
		}
	}
	if level > 0 {
		r.child.strict(level)
	}
	if b, ok := r.t.(batcher); ok && r.before == nil {
		b.ahead(r.unskipped(), r.timeout)
	}
	again := retrace{suspect: -1}
	for redo := true; redo; {
		var err error
		if redo, err = r.walk(ctx, &out, &again); err != nil {
			return Output{}, err
		}
	}
	if chunker != nil {
		if err := chunker.End(ctx); err != nil {
			return Output{}, err
		}
	}
	return out, nil
}

// unskipped returns the objects to map.
func (r *run) unskipped() [][]byte {
	objects := make([][]byte, 0, r.objects)
	skip := r.skip
	for i, object := range chunk.Objects(r.body) {
		for len(skip) > 0 && skip[0].Index < i {
			skip = skip[1:]
		}
		if len(skip) == 0 || skip[0].Index != i {
			objects = append(objects, object)
		}
	}
	return objects
}

// A retrace says which objects must be mapped again after a process failed with
// unproved answers.
type retrace struct {
	// The answers of the objects before index are proved.
	index, lines, failed int
	suspect              int  // object at which a process failed after unproved answers; -1: none
	tried                bool // that object has had its first try
	stuck                bool // the process failed again during a retrace
}

// moveTo records that all answers before object index are proved.
func (t *retrace) moveTo(index int, out *Output) {
	t.index, t.lines, t.failed, t.stuck = index, len(out.Lines), len(out.Failed), false
}

// walk maps the objects from t.index on. It returns true if it must be called
// again, because some answers are no longer certain.
func (r *run) walk(ctx context.Context, out *Output, t *retrace) (again bool, err error) {
	skip := r.skip
	for i, object := range chunk.Objects(r.body) {
		for len(skip) > 0 && skip[0].Index < i {
			skip = skip[1:]
		}
		if i < t.index {
			continue
		}
		if len(skip) > 0 && skip[0].Index == i {
			out.fail(i, skip[0].Reason)
			continue
		}
		if err := ctx.Err(); err != nil {
			return false, err
		}
		if i == t.suspect {
			if err := r.child.prove(ctx); err != nil {
				return false, err
			}
			r.child.step(false)
			t.moveTo(i, out)
		}
		if r.before != nil {
			if err := r.before(i); err != nil {
				return false, fmt.Errorf("announce object %d: %w", i, err)
			}
		}
		lines, count, err := r.object(ctx, object, out.Lines, i == t.suspect && t.tried)
		switch {
		case err == nil && len(lines) > r.total:
			out.fail(i, fmt.Sprintf("the outputs of its chunk are larger than the limit of %d bytes: make chunks smaller (--chunk-size, CHUNK_SIZE)", r.total))
		case err == nil:
			out.Lines, out.Counts[i] = lines, count
		case ctx.Err() != nil, errors.Is(err, ErrBroken), errors.Is(err, errDesync):
			return false, err
		case errors.Is(err, errUnproved):
			out.Lines, out.Failed = out.Lines[:t.lines], out.Failed[:t.failed]
			clear(out.Counts[t.index:])
			r.child.step(t.stuck) // after a second failure each answer is proved at once, so no object is repeated
			t.suspect, t.tried, t.stuck = i, !errors.Is(err, errExited), true
			return true, nil
		default:
			out.fail(i, err.Error())
			out.Failed[len(out.Failed)-1].Late = r.passed
		}
		if r.child != nil && r.child.proven() {
			t.moveTo(i+1, out)
		}
		if r.after != nil {
			r.after(i, out.failure(i))
		}
	}
	return false, nil
}

func (o *Output) fail(index int, reason string) {
	o.Failed = append(o.Failed, Failure{Index: index, Err: shorten(reason, maxReason)})
}

// failure returns the failure of object index, the last one mapped; nil if it has
// outputs.
func (o *Output) failure(index int) *Failure {
	if n := len(o.Failed); n > 0 && o.Failed[n-1].Index == index {
		return &o.Failed[n-1]
	}
	return nil
}

// shorten makes text valid UTF-8 of at most limit bytes.
func shorten(text string, limit int) string {
	const mark = "…"
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) <= limit {
		return text
	}
	end := limit - len(mark)
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + mark
}

// object maps one object, with a second try if a process failed. tried says that
// the object has already had its first try.
func (r *run) object(ctx context.Context, object, dst []byte, tried bool) ([]byte, int, error) {
	lines, err := r.try(ctx, object, dst)
	if !tried && isFault(err) && ctx.Err() == nil {
		lines, err = r.try(ctx, object, dst)
	}
	if isFault(err) && ctx.Err() == nil {
		err = fmt.Errorf("failed again in a new process: %w", err)
	}
	if err != nil {
		return nil, 0, err
	}
	added := lines[len(dst):]
	if len(added) > r.limit {
		return nil, 0, tooLarge(r.limit)
	}
	if len(added) > 0 && added[len(added)-1] != '\n' {
		return nil, 0, errors.New("the transform's last output has no line break")
	}
	return lines, bytes.Count(added, []byte{'\n'}), nil
}

func (r *run) try(ctx context.Context, object, dst []byte) ([]byte, error) {
	lines, err := r.mapOne(ctx, object, dst)
	if r.child != nil {
		if unsure := r.child.confirm(ctx); unsure != nil {
			return nil, unsure
		}
	}
	return lines, err
}

func (r *run) mapOne(ctx context.Context, object, dst []byte) ([]byte, error) {
	r.passed = false
	if t, ok := r.t.(eager); ok {
		if lines, done, err := t.now(ctx, object, dst); done {
			return lines, err
		}
	}
	if r.timeout <= 0 {
		return r.t.Map(ctx, object, dst)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, r.timeout, r.late)
	defer cancel()
	lines, err := r.t.Map(ctx, object, dst)
	r.passed = errors.Is(context.Cause(ctx), r.late)
	return lines, err
}

// tooLarge is the error of an object whose outputs exceed limit bytes.
func tooLarge(limit int) error {
	return fmt.Errorf("the outputs of this object are larger than the limit of %d bytes", limit)
}
