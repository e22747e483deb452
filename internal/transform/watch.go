//go:build linux || darwin

package transform

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	// settleLeast is how soon a second print call of a program follows the
	// first, with room to spare for a busy machine.
	settleLeast = 2 * time.Millisecond

	// startLeast is how soon the answer follows what a program prints when it
	// starts. A process that waited as a spare has printed that long before it was
	// asked, so how long that took says nothing.
	startLeast = 100 * time.Millisecond

	// settleMost bounds the quiet wait where it follows the longest answer.
	settleMost = time.Second

	// trustAfter is how many answers in a row must have been followed by
	// silence before the wait is left out.
	trustAfter = 100

	// slowAnswer is from when on a wait of settleLeast costs little: a tenth.
	slowAnswer = 10 * settleLeast

	// proofEvery is how many quiet waits the answers may take together until
	// one follows: a tenth of the time goes into them at the most.
	proofEvery = 10
)

// errDoubt means that a process failed, and that answers before this object
// were not followed by silence: they may belong to other objects. Those are
// asked for again.
var errDoubt = errors.New("a process failed after answers that silence did not follow")

// errLeft is errDoubt of a process that ended with 0: probably it had not read
// the object.
var errLeft = fmt.Errorf("%w: it ended by itself", errDoubt)

// A watch measures answers and says how long silence must last until an answer
// is known to be the one of its object.
//
// The first answer of a process includes its start. It says nothing of how
// long others take.
type watch struct {
	// Of this chunk:
	redo     bool          // it is done again, strictly
	level    int           // how often this chunk was done again
	stepping bool          // each answer is followed by a proof
	longest  time.Duration // the longest answer, but for first ones
	start    time.Duration // the longest first answer

	// Of this process in this chunk:
	pending   time.Duration // how long the last answer took, if not confirmed; else 0
	first     bool          // it is the first answer of the process
	answered  int
	unsettled int           // answers that no quiet wait followed
	unproved  time.Duration // that answers took since a silence that proves all of them

	// Of all chunks:
	trust int  // answers in a row that silence followed
	known bool // a first chunk was followed by a silence as long as its start
}

func (w *watch) begin() {
	*w = watch{trust: w.trust, known: w.known}
}

// restart is for a new process.
func (w *watch) restart() {
	w.pending, w.first, w.answered, w.unsettled, w.unproved = 0, false, 0, 0, 0
}

// distrust is for a program that writes what it should not.
func (w *watch) distrust() { w.trust, w.known = 0, false }

// heard notes an answer.
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

func (w *watch) proven() bool { return w.unsettled == 0 && w.pending == 0 }

// silent notes a silence of d after the last answer.
func (w *watch) silent(d time.Duration) {
	if d >= w.proof() {
		w.unsettled, w.unproved = 0, 0
	}
}

// proof is how long a silence must be to show that no line is on its way.
func (w *watch) proof() time.Duration { return bounded(w.longest) }

// settle is how long a surplus line is waited for when a chunk is done again.
func (w *watch) settle() time.Duration {
	wait := w.proof()
	if w.first { // its line may be one that the program prints when it starts
		wait = max(startLeast, bounded(max(w.longest, w.start)))
	}
	for range w.level - 1 {
		wait = min(8*wait, settleMost)
	}
	return wait
}

// atEnd is how long a surplus line is waited for at the end of a chunk. The
// start counts until the program is known not to print a line when it starts.
func (w *watch) atEnd() time.Duration {
	if w.known {
		return w.proof()
	}
	return max(startLeast, bounded(max(w.longest, w.start)))
}

func bounded(d time.Duration) time.Duration { return min(max(d, settleLeast), settleMost) }

// confirm looks whether more than one line came for the last object.
func (p *program) confirm(ctx context.Context) error {
	if p.pending == 0 || p.child == nil {
		return nil
	}
	took := p.pending
	p.pending = 0
	heard := quiet
	switch {
	case p.redo:
		heard = p.listen(ctx, p.settle())
	case p.stepping || p.unproved >= proofEvery*p.proof():
		heard = p.listen(ctx, p.proof())
	case p.trust < trustAfter || took >= slowAnswer:
		heard = p.listen(ctx, settleLeast)
	case len(p.child.buf) > 0:
		heard = spoken
	default:
		p.unsettled++
	}
	if heard != spoken {
		p.trust = min(p.trust+1, trustAfter)
		return ctx.Err()
	}
	if p.redo {
		p.distrust()
		if p.first {
			p.banner.Do(func() { p.say("answered the first object of a process with more than one line; " + bannerHint) })
		}
		err := errors.New("the program answered with more than one line; " + severalHint)
		if p.drain(ctx) {
			return &faultError{text: err.Error()}
		}
		return p.fail(err)
	}
	return p.desync()
}

// listen says what comes within d after an answer.
func (p *program) listen(ctx context.Context, d time.Duration) silence {
	heard := p.child.listen(ctx, d)
	if heard != spoken && ctx.Err() == nil {
		p.silent(d)
	}
	return heard
}

// drain drops what the program still prints for an object, until silence shows
// that it waits for the next one. It returns false if that does not come.
func (p *program) drain(ctx context.Context) bool {
	const most = 16 << 10 // reads, of 64 bytes
	for range most {
		p.child.buf = p.child.buf[:0]
		switch p.child.listen(ctx, p.settle()) {
		case quiet:
			return ctx.Err() == nil
		case closed:
			return false
		case spoken:
		}
	}
	return false
}

// desync puts the process away: a line came that no object of the chunk can be
// told to have asked for.
func (p *program) desync() error {
	p.distrust()
	p.retire()
	return errDesync
}

// prove waits until all answers are known to be those of their objects.
func (p *program) prove(ctx context.Context) error {
	if p.child != nil && p.unsettled > 0 && p.listen(ctx, p.proof()) == spoken {
		return p.desync()
	}
	p.unsettled = 0
	return ctx.Err()
}

// step makes each answer be followed by a proof, or not.
func (p *program) step(on bool) { p.stepping = on }

// End waits for a surplus line: whatever shifted, one is left at the end.
func (p *program) End(ctx context.Context) error {
	if p.child == nil || p.answered == 0 || p.redo {
		return nil // redo has waited after each
	}
	switch p.listen(ctx, p.atEnd()) {
	case spoken:
		return p.desync()
	case closed:
		p.letGo(p.endedBetween)
	case quiet:
	}
	if ctx.Err() == nil {
		p.known = true
	}
	return ctx.Err()
}
