package transform

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/webservice"
)

// Options are the options of Run.
type Options struct {
	// Timeout bounds one try of one object, without the wait for a retry. 0 means none. identity and users neither wait
	// nor loop and are not bounded; users simulates its duration before the first object.
	Timeout time.Duration

	// Part is how much of a chunk the body is, above 0 and up to 1: users simulates that part of its duration. 0 means
	// the whole chunk.
	Part float64

	// Growth is how many bytes of outputs to expect per byte of objects. It only sizes the first buffer for them, which
	// is never larger than the body. 0 means unknown.
	Growth float64

	// Retries is how often an object is tried again after a temporary failure.
	Retries int

	// Before is called with the index of each object, in order, before the object is mapped (careful mode), and again
	// if it is tried again or the chunk is mapped again. It is called with the number of objects before Run waits to
	// try objects again: none of them is being mapped then. If it fails, Run returns its error. May be nil.
	Before func(index int) error

	// After is called with the index of each object that was mapped, or that failed for good (failed is not nil), and
	// again if the chunk is mapped again. May be nil.
	After func(index int, failed *Failure)

	// Retrying is called when an object has failed and will be tried again. May be nil.
	Retrying func(Retry)

	// Again is called with the number of objects that are tried again now, also of those that are sent alone after their
	// batch failed. May be nil.
	Again func(objects int)

	// Tests lower these limits; 0 means maxOutput and maxTotal.
	maxOutput, maxTotal int

	jitter func(most time.Duration) time.Duration // for tests; nil: random
}

const (
	// maxOutput is the most bytes in the outputs of one object: the largest object with its line break.
	maxOutput = chunk.MaxObject + 1

	// maxTotal is the most bytes in the outputs of a chunk. Every object that would exceed it fails. A result with its
	// dead letters must stay below the gigabyte that one message can carry.
	maxTotal = 512 << 20
)

// Output is the result of a chunk. Invariant: the sum of Counts is the number of lines in Lines, and an object in
// Failed has the count 0.
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

// maxReason bounds the text of a failure in bytes: it travels in a message and is stored with the dead letter.
const maxReason = 8 << 10

// supervised is a transform whose answers come from another process and may be late, doubled or missing.
type supervised interface {
	Chunker
	confirm(ctx context.Context) error // checks that nothing followed the last answer; Run calls it after each Map
	prove(ctx context.Context) error   // waits until every answer is known to belong to its object
	proven() bool                      // reports whether every answer is known to belong to its object
	step(on bool)                      // whether to prove after each answer
	strict(level int)                  // the chunk is mapped again, for the level-th time, with longer waits
	aborter
}

// A simulator is a transform that can simulate longer work.
type simulator interface {
	simulate(ctx context.Context, part float64) error
}

// A batcher is a transform that can work ahead. ahead tells it which objects Map will be called with next and in which
// order. Map may still repeat one of them, or pass another object. ctx is that of the chunk.
type batcher interface {
	ahead(ctx context.Context, objects []upcoming, limit tryLimit)
}

// An upcoming object is one that Map will be called with.
type upcoming struct {
	object []byte
	alone  bool // not in a batch with others, so that a failure is its own
}

// A tryLimit bounds the time of one try of an object.
type tryLimit struct {
	most time.Duration // 0 or less: no limit
	late error         // the cause of a context whose time has passed
}

func (l tryLimit) apply(ctx context.Context) (context.Context, context.CancelFunc) {
	if l.most <= 0 {
		return ctx, func() {}
	}
	return context.WithTimeoutCause(ctx, l.most, l.late)
}

// An eager transform has the outputs of some objects without waiting. A timeout costs a timer, so Run calls now first,
// and calls Map with a timeout only if now is not done.
type eager interface {
	now(ctx context.Context, object, dst []byte) (out []byte, done bool, err error)
}

// An aborter must clean up when a chunk ends early.
type aborter interface{ abort() }

// A faultError means that the process failed, not that it answered with an error. The object gets one more try in a new
// process.
type faultError struct{ text string }

func (f *faultError) Error() string { return f.text }

func isFault(err error) bool {
	_, ok := errors.AsType[*faultError](err)
	return ok
}

// strictest is how often a chunk is mapped again; each time the wait after every answer is eight times as long.
const strictest = 4

// errDesync means that answers of this chunk may belong to other objects.
var errDesync = errors.New("answers do not match the objects")

// quick is a transform that neither waits nor loops, and so needs no timeout.
type quick interface{ quick() }

// Run maps the objects of body, one a line. The objects in skip (in any order) are not mapped and fail with their
// Reason. A failed object is not an error of Run.
//
// Run returns an error, and no result, only if ctx ended (ctx.Err()), Before failed, skip is out of range, or the
// transform cannot work at all (ErrBroken).
func Run(ctx context.Context, t Transform, body []byte, skip []chunk.Flaw, o Options) (Output, error) {
	r := newRun(t, body, o)
	var err error
	if r.skip, err = sorted(skip, len(r.items)); err != nil {
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
	child   supervised   // t if it is supervised, else nil
	part    float64      // of a chunk; 0: all of it
	room    int          // bytes of outputs to make room for
	items   []item       // the objects
	skip    []chunk.Flaw // ascending Index
	limit   int          // bytes of one object's outputs
	total   int          // bytes of all outputs
	time    tryLimit
	passed  bool // the time had passed at the end of the last try
	before  func(int) error
	after   func(int, *Failure)
	retries retries
	reorder bool // outputs or failures are not in the order of the objects
}

// An item is an object with the place of its outputs in Output.Lines.
type item struct {
	object   []byte
	from, to int
}

func newRun(t Transform, body []byte, o Options) *run {
	r := &run{t: t, part: o.Part, room: o.room(len(body)), before: o.Before, after: o.After, retries: newRetries(o)}
	r.child, _ = t.(supervised)
	r.items = make([]item, 0, bytes.Count(body, []byte{'\n'})+1)
	for _, object := range chunk.Objects(body) {
		r.items = append(r.items, item{object: object})
	}
	r.limit, r.total = cmp.Or(o.maxOutput, maxOutput), cmp.Or(o.maxTotal, maxTotal)
	if _, ok := t.(quick); !ok {
		r.time = tryLimit{most: o.Timeout, late: fmt.Errorf("no result within %v (--timeout, TIMEOUT)", o.Timeout)}
	}
	return r
}

// room returns the size of the first buffer for the outputs of a body: a little more than Growth says, because growing
// a buffer copies it.
func (o *Options) room(body int) int {
	if !(o.Growth > 0) { // unknown, or not a number
		return body
	}
	return int(min(float64(body), o.Growth*float64(body)*17/16+64))
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
	out := Output{Counts: make([]int, len(r.items)), Lines: make([]byte, 0, r.room)}
	if s, simulates := r.t.(simulator); simulates {
		if err := s.simulate(ctx, cmp.Or(r.part, 1)); err != nil {
			return Output{}, err
		}
	}
	chunker, _ := r.t.(Chunker)
	if chunker != nil {
		if err := chunker.Begin(ctx); err != nil {
			return Output{}, err
		}
	}
	if level > 0 {
		r.child.strict(level)
	}
	r.retries.waiting = nil
	for round := r.first(&out); len(round) > 0; {
		if err := r.mapRound(ctx, &out, round); err != nil {
			return Output{}, err
		}
		var err error
		if round, err = r.nextRound(ctx); err != nil {
			return Output{}, err
		}
	}
	if chunker != nil {
		if err := chunker.End(ctx); err != nil {
			return Output{}, err
		}
	}
	r.order(&out)
	return out, nil
}

// order puts outputs and failures in the order of the objects.
func (r *run) order(out *Output) {
	if !r.reorder {
		return
	}
	slices.SortFunc(out.Failed, func(a, b Failure) int { return cmp.Compare(a.Index, b.Index) })
	lines := make([]byte, 0, len(out.Lines))
	for i, item := range r.items {
		if out.Counts[i] > 0 {
			lines = append(lines, out.Lines[item.from:item.to]...)
		}
	}
	out.Lines = lines
}

func (o *Output) fail(index int, reason string) {
	o.Failed = append(o.Failed, Failure{Index: index, Err: webservice.Shorten(reason, maxReason)})
}

// failure returns the failure of object index, the last one mapped; nil if it has outputs.
func (o *Output) failure(index int) *Failure {
	if n := len(o.Failed); n > 0 && o.Failed[n-1].Index == index {
		return &o.Failed[n-1]
	}
	return nil
}

// object maps one object, with a second try if a process failed. tried says that the object has already had its first
// try.
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
	ctx, cancel := r.time.apply(ctx)
	defer cancel()
	lines, err := r.t.Map(ctx, object, dst)
	r.passed = r.time.most > 0 && (errors.Is(context.Cause(ctx), r.time.late) || errors.Is(err, r.time.late))
	return lines, err
}

// tooLarge is the error of an object whose outputs exceed limit bytes.
func tooLarge(limit int) error {
	return fmt.Errorf("the outputs of this object are larger than the limit of %d bytes", limit)
}
