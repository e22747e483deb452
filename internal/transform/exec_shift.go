package transform

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	// waitLeast covers the time between two print calls of a program, with room for a busy machine.
	waitLeast = 2 * time.Millisecond

	// startLeast covers the time between a line that a program prints when it starts and its first answer. A spare has
	// printed that line long before it is asked, so its start time says nothing.
	startLeast = 100 * time.Millisecond

	// waitMost bounds a wait that follows the longest answer.
	waitMost = time.Second

	// trustAfter is how many answers in a row must be followed by silence before the wait is skipped.
	trustAfter = 100

	// slowAnswer is the answer time from which a wait of waitLeast adds at most a tenth.
	slowAnswer = 10 * waitLeast

	// proofEvery is the time that answers may take together before a wait follows, as a multiple of that wait. So at
	// most a tenth of the time goes into these waits.
	proofEvery = 10
)

// errUnproved means that a process failed after answers that no silence followed: they may belong to other objects, and
// those objects are mapped again.
var errUnproved = errors.New("a process failed after answers that silence did not follow")

// errExited is errUnproved for a process that exited with 0 and so probably did not read the object.
var errExited = fmt.Errorf("%w: it ended by itself", errUnproved)

// A watch measures answer times and derives how long silence must last before an answer is known to belong to its
// object.
//
// The first answer of a process includes its start. It says nothing about the time that other answers take.
type watch struct {
	// Of this chunk:
	level    int           // how often it was mapped again, with a wait after every answer
	stepping bool          // every answer is proved
	longest  time.Duration // the longest answer, first ones left out
	start    time.Duration // the longest first answer

	// Of this process in this chunk:
	pending   time.Duration // how long the last answer took; 0 once it is confirmed
	first     bool          // that answer is the first of the process
	answered  int
	unchecked int           // answers that no wait followed
	unproved  time.Duration // time of the answers since the last proof

	// Of all chunks:
	trust int  // answers in a row that were followed by silence
	known bool // a chunk was followed by silence as long as a start
}

func (w *watch) begin() {
	*w = watch{trust: w.trust, known: w.known}
}

// restart resets the counters of the process.
func (w *watch) restart() {
	w.pending, w.first, w.answered, w.unchecked, w.unproved = 0, false, 0, 0, 0
}

// distrust resets trust after a surplus line or a wrong answer.
func (w *watch) distrust() { w.trust, w.known = 0, false }

// heard records an answer.
func (w *watch) heard(took time.Duration, first bool) {
	w.pending, w.first = max(took, 1), first
	w.answered++
	w.unproved += w.pending
	if first {
		w.start = max(w.start, w.pending)
	} else {
		w.longest = max(w.longest, w.pending)
	}
}

func (w *watch) proven() bool { return w.unchecked == 0 && w.pending == 0 }

// silent records a silence of d after the last answer.
func (w *watch) silent(d time.Duration) {
	if d >= w.proof() {
		w.unchecked, w.unproved = 0, 0
	}
}

// proof is how long a silence must last to show that no line is on its way.
func (w *watch) proof() time.Duration { return bounded(w.longest) }

// surplusWait is how long to wait for a surplus line after each answer when a chunk is mapped again.
func (w *watch) surplusWait() time.Duration {
	wait := w.proof()
	if w.first { // its line may be one that the program prints when it starts
		wait = max(startLeast, bounded(max(w.longest, w.start)))
	}
	for range w.level - 1 {
		wait = min(8*wait, waitMost)
	}
	return wait
}

// atEnd is how long to wait for a surplus line at the end of a chunk. The start time counts until the program is known
// not to print a line when it starts.
func (w *watch) atEnd() time.Duration {
	if w.known {
		return w.proof()
	}
	return max(startLeast, bounded(max(w.longest, w.start)))
}

func bounded(d time.Duration) time.Duration { return min(max(d, waitLeast), waitMost) }

// confirm checks whether more than one line came for the last object. How long it waits is in the package comment.
func (p *program) confirm(ctx context.Context) error {
	if p.pending == 0 || p.child == nil {
		return nil
	}
	took := p.pending
	p.pending = 0
	heard := quiet
	switch {
	case p.level > 0:
		heard = p.listen(ctx, p.surplusWait())
	case p.stepping || p.unproved >= proofEvery*p.proof():
		heard = p.listen(ctx, p.proof())
	case p.trust < trustAfter || took >= slowAnswer:
		heard = p.listen(ctx, waitLeast)
	case len(p.child.buf) > 0:
		heard = spoken
	default:
		p.unchecked++
	}
	if heard != spoken {
		p.trust = min(p.trust+1, trustAfter)
		return ctx.Err()
	}
	if p.level > 0 {
		p.distrust()
		if p.first {
			p.warnedBanner.Do(func() { p.say("answered the first object of a process with more than one line; " + bannerHint) })
		}
		err := errors.New("the program answered with more than one line; " + severalHint)
		if p.drain(ctx) {
			return &faultError{text: err.Error()}
		}
		return p.fail(err)
	}
	return p.desync()
}

// listen reports what comes within d after an answer.
func (p *program) listen(ctx context.Context, d time.Duration) silence {
	heard := p.child.listen(ctx, d)
	if heard != spoken && ctx.Err() == nil {
		p.silent(d)
	}
	return heard
}

// drain drops everything the program still prints for an object, until silence shows that it waits for the next one. It
// returns false if the silence does not come.
func (p *program) drain(ctx context.Context) bool {
	const most = 16 << 10 // reads, of 64 bytes
	for range most {
		p.child.buf = p.child.buf[:0]
		switch p.child.listen(ctx, p.surplusWait()) {
		case quiet:
			return ctx.Err() == nil
		case closed:
			return false
		case spoken:
		}
	}
	return false
}

// desync kills the process: a line came that may belong to any object of the chunk.
func (p *program) desync() error {
	p.distrust()
	p.killChild()
	return errDesync
}

// prove waits until all answers are known to belong to their objects.
func (p *program) prove(ctx context.Context) error {
	if p.child != nil && p.unchecked > 0 && p.listen(ctx, p.proof()) == spoken {
		return p.desync()
	}
	p.unchecked = 0
	return ctx.Err()
}

// step sets whether every answer is proved.
func (p *program) step(on bool) { p.stepping = on }

// End waits for a surplus line: if answers have shifted, one line is left at the end.
func (p *program) End(ctx context.Context) error {
	if p.child == nil || p.answered == 0 || p.level > 0 { // then it has waited after each answer
		return nil
	}
	switch p.listen(ctx, p.atEnd()) {
	case spoken:
		return p.desync()
	case closed:
		p.endInBackground(p.endedBetween)
	case quiet:
	}
	if ctx.Err() == nil {
		p.known = true
	}
	return ctx.Err()
}
