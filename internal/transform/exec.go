//go:build linux || darwin

package transform

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
	"unicode/utf8"

	"github.com/chunkline/chunkline/internal/chunk"
)

const (
	// settleLeast is how soon a second print call of a program follows the
	// first, with room to spare for a busy machine.
	settleLeast = 2 * time.Millisecond

	// settleMost bounds the quiet wait where it follows the longest answer.
	settleMost = time.Second

	// trustAfter is how many answers in a row must have been followed by
	// silence before the wait is left out.
	trustAfter = 100

	// slowAnswer is from when on a wait of settleLeast costs little: a tenth.
	slowAnswer = 10 * settleLeast
)

// program asks a running process for the outputs of each object. The rules for
// it, and what is done about answers that shift, are in the package comment.
type program struct {
	path  string
	argv  []string
	env   []string
	log   *stderrLog
	limit int // bytes of an answer

	child *child // nil until it is needed, and after it failed

	// Of this chunk:
	redo      bool          // it is done again, strictly
	level     int           // how often this chunk was done again
	pending   time.Duration // how long the last answer took, if not confirmed; else 0
	answered  int           // answers of child
	unsettled int           // those of them that no quiet wait followed
	longest   time.Duration // the longest answer, also of earlier children

	trust int // answers in a row, over chunks, that silence followed
}

func newProgram(path string, argv []string, stderr io.Writer) *program {
	if stderr == nil {
		stderr = os.Stderr
	}
	return &program{
		path:  path,
		argv:  argv,
		env:   withoutSecrets(os.Environ()),
		log:   newStderrLog(filepath.Base(argv[0]), stderr),
		limit: chunk.MaxObject,
	}
}

// Begin starts a chunk. The process is started with the first object.
func (p *program) Begin(ctx context.Context) error {
	p.log.begin()
	p.redo, p.level, p.pending, p.answered, p.unsettled, p.longest = false, 0, 0, 0, 0, 0
	return ctx.Err()
}

// strict makes the rest of the chunk a careful one, in a fresh process. It
// begins anew: nothing that was answered before counts.
func (p *program) strict(level int) {
	p.retire()
	p.redo, p.level, p.answered = true, level, 0
}

// abort forgets the chunk.
func (p *program) abort() { p.retire() }

// Close lets the process end, and kills what is left of it.
func (p *program) Close() error {
	if p.child != nil {
		_ = p.child.end() // how it ends after its work is its own affair
		p.child = nil
		p.log.end()
	}
	return nil
}

// Map asks the process. Run must call confirm before the answer counts.
func (p *program) Map(ctx context.Context, object, dst []byte) ([]byte, error) {
	if bytes.IndexByte(object, '\n') >= 0 {
		return dst, errors.New("exec: the object has a line break")
	}
	if err := p.ready(); err != nil {
		return dst, err
	}
	began := time.Now()
	answer, err := p.child.ask(ctx, object)
	switch {
	case ctx.Err() != nil && err != nil:
		text := context.Cause(ctx).Error() + ": does the program flush its output after every line?"
		if p.answered == 0 {
			text += " Its start counts, too."
		}
		return dst, p.failed(errors.New(text))
	case errors.Is(err, errLong):
		return dst, p.failed(fmt.Errorf("%w, of more than %d bytes", err, p.limit))
	case err != nil:
		return dst, p.failed(err)
	}
	p.pending = max(time.Since(began), 1)
	p.longest = max(p.longest, p.pending)
	p.answered++
	return p.read(answer, dst)
}

// ready sees to it that a process runs that owes nothing.
func (p *program) ready() error {
	if p.child != nil {
		switch heard := p.child.peek(); {
		case heard == spoken && p.answered > 0 && (!p.redo || p.level < strictest):
			p.retire() // it came later than we waited: what was taken for an answer may be none
			return errDesync
		case heard == spoken:
			p.log.note("printed a line after its object was done; please one line for each object")
			p.retire()
		case heard == closed: // it ended between two objects, after all its answers
			p.retire()
		}
	}
	if p.child != nil {
		return nil
	}
	var err error
	p.child, err = startChild(p.path, p.argv, p.env, p.log, p.limit)
	if err != nil {
		return fmt.Errorf("%w: start %s: %w", ErrBroken, p.argv[0], err)
	}
	return nil
}

// read turns an answer into outputs.
func (p *program) read(answer, dst []byte) ([]byte, error) {
	answer = bytes.TrimSuffix(answer, []byte{'\r'})
	switch {
	case len(answer) == 0:
		return dst, nil
	case answer[0] == '!':
		message := string(bytes.TrimSpace(answer[1:]))
		if message == "" {
			message = "the program gave no reason"
		}
		return dst, errors.New(message)
	case !utf8.Valid(answer):
		return dst, p.failed(fmt.Errorf("the program answered %s, which is not UTF-8", preview(answer)))
	case !json.Valid(answer):
		return dst, p.failed(fmt.Errorf("the program answered %s, which is not JSON", preview(answer)))
	}
	return append(append(dst, answer...), '\n'), nil
}

func preview(answer []byte) string {
	const most = 80
	if len(answer) > most {
		return fmt.Sprintf("%q…", answer[:most])
	}
	return fmt.Sprintf("%q", answer)
}

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
		heard = p.child.listen(ctx, p.settle())
	case p.trust < trustAfter || took >= slowAnswer:
		heard = p.child.listen(ctx, settleLeast)
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
		return p.failed(errors.New("the program answered with more than one line"))
	}
	p.retire()
	return errDesync
}

// settle is how long a surplus line is waited for.
func (p *program) settle() time.Duration {
	wait := min(max(p.longest, settleLeast), settleMost)
	for range p.level - 1 {
		wait = min(8*wait, settleMost)
	}
	return wait
}

// End waits for a surplus line: whatever shifted, one is left at the end.
func (p *program) End(ctx context.Context) error {
	if p.child == nil || p.answered == 0 || p.redo {
		return nil // redo has waited after each
	}
	switch p.child.listen(ctx, p.settle()) {
	case spoken:
		p.retire()
		return errDesync
	case closed:
		p.retire()
	case quiet:
	}
	return ctx.Err()
}

// failed puts the process away and says what becomes of the object: it is
// tried again, or the chunk is, when earlier answers have become doubtful.
func (p *program) failed(err error) error {
	doubt := !p.redo && p.unsettled > 0
	state, words := p.retire()
	if doubt {
		return errDesync
	}
	text := err.Error()
	if errors.Is(err, errEnded) {
		text += " (" + state + ")"
	}
	if words != "" {
		text += "; on standard error: " + words
	}
	return &faultError{text: text}
}

// retire kills the process, if one runs. It returns how it ended and its last
// words on standard error.
func (p *program) retire() (state, words string) {
	if p.child == nil {
		return "", ""
	}
	_ = p.child.kill() // ProcessState says it better
	state, words = p.child.cmd.ProcessState.String(), p.log.end()
	p.child = nil
	p.pending, p.answered, p.unsettled, p.trust = 0, 0, 0, 0
	return state, words
}
