//go:build linux || darwin

package transform

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/chunkline/chunkline/internal/chunk"
)

// program asks a running process for the outputs of each object. The rules for
// it, and what is done about answers that shift, are in the package comment.
type program struct {
	*commandLine
	env      []string
	log      *stderrLog
	say      func(text string) // to the person who looks after the mapper
	limit    int               // bytes of an answer
	patience time.Duration     // with a program that has never answered, before a word is said

	endTimeout time.Duration // of a process, after the end of its input
	termGrace  time.Duration // then, after SIGTERM

	child  *child         // nil until it is needed, and after it failed
	spare  *child         // has had no object yet; nil before the first failure
	alone  bool           // no spare is kept
	failed int            // processes that failed
	ending sync.WaitGroup // processes that end in their own time

	watch
}

func newProgram(c *commandLine, s Spec) *program {
	var stderr io.Writer = os.Stderr
	if s.Stderr != nil {
		stderr = s.Stderr
	}
	p := &program{
		commandLine: c,
		env:         childEnv(os.Environ()),
		log:         newStderrLog(c.name(), stderr),
		limit:       chunk.MaxObject,
		patience:    firstPatience,
		endTimeout:  cmp.Or(s.EndTimeout, defaultEnd),
		termGrace:   termGrace,
	}
	p.say = p.log.note
	if s.Warn != nil {
		p.say = func(text string) { s.Warn(c.name() + ": " + text) }
	}
	return p
}

// Begin starts a chunk. The process is started with the first object.
func (p *program) Begin(ctx context.Context) error {
	p.log.begin()
	p.begin()
	return ctx.Err()
}

// strict makes the rest of the chunk a careful one, in a fresh process. It
// begins anew: nothing that was answered before counts.
func (p *program) strict(level int) {
	p.retire()
	p.redo, p.level = true, level
}

// Map asks the process. Run must call confirm before the answer counts.
func (p *program) Map(ctx context.Context, object, dst []byte) ([]byte, error) {
	if bytes.IndexByte(object, '\n') >= 0 {
		return dst, errors.New("exec: the object has a line break")
	}
	if err := p.ready(); err != nil {
		return dst, err
	}
	defer p.awaitFirst()()
	began := time.Now()
	answer, err := p.child.ask(ctx, object)
	switch {
	case err != nil && errors.Is(ctx.Err(), context.Canceled):
		return dst, ctx.Err() // nobody wants the chunk any more; abort follows
	case ctx.Err() != nil && err != nil:
		text := context.Cause(ctx).Error() + ": does the program flush its output after every line? " + flushCure(p.argv)
		if p.answered == 0 {
			text += ". Its start counts, too"
		}
		return dst, p.fail(errors.New(text))
	case errors.Is(err, errLong):
		p.distrust()
		return dst, p.fail(fmt.Errorf("%w, of more than %d bytes", err, p.limit))
	case err != nil:
		return dst, p.fail(err)
	}
	p.spoke.Store(true)
	p.heard(time.Since(began), p.child.answers == 0)
	p.child.answers++
	return p.read(answer, dst)
}

// ready sees to it that a process runs that owes nothing.
func (p *program) ready() error {
	if p.child != nil {
		switch heard := p.child.peek(); {
		case heard == spoken && p.answered > 0 && (!p.redo || p.level < strictest):
			return p.desync() // it came later than we waited: what was taken for an answer may be none
		case heard == spoken:
			p.say("printed a line after its object was done; please one line for each object")
			p.retire()
		case heard == closed: // it ended between two objects, after all its answers
			p.letGo(p.endedBetween)
		}
	}
	if p.child != nil {
		return nil
	}
	return p.replace()
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
		p.distrust()
		return dst, p.fail(fmt.Errorf("the program answered %s, which is not UTF-8%s", preview(answer), p.answerHint(answer)))
	case !json.Valid(answer):
		p.distrust()
		return dst, p.fail(fmt.Errorf("the program answered %s, which is not JSON%s", preview(answer), p.answerHint(answer)))
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

// fail puts the process away and says what becomes of the object: it is tried
// again, or answers before it are, when they have become doubtful.
func (p *program) fail(err error) error {
	doubt := !p.redo && p.unsettled > 0
	p.failed++
	c := p.child
	state, words := p.retire()
	switch {
	case doubt && errors.Is(err, errEnded) && c.cmd.ProcessState.Success():
		return errLeft
	case doubt:
		return errDoubt
	}
	text := err.Error()
	if errors.Is(err, errEnded) {
		text += " (" + state + ")"
	}
	text += endHint(c.cmd.ProcessState, words)
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
	c := p.child
	p.forget()
	return c.kill()
}

// forget begins anew without a process.
func (p *program) forget() {
	p.child = nil
	p.restart()
}
