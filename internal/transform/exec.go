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
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/process"
	"github.com/chunkline/chunkline/internal/webservice"
)

// parseExec reads the part of a setting after "exec", and looks up the program.
func parseExec(rest string) (Spec, error) {
	command, ok := strings.CutPrefix(rest, ":")
	if !ok {
		return Spec{}, errors.New("the program is missing; use exec:PROGRAM ARG…, for example exec:python3 map.py")
	}
	parsed, err := process.Parse("exec:", command)
	if err != nil {
		return Spec{}, err
	}
	c := &commandLine{Command: parsed}
	return Spec{files: hashFiles(parsed.Argv), build: func(s Spec) Transform { return newProgram(c, s) }}, nil
}

// A commandLine is a program with its arguments, and the state that its workers share.
type commandLine struct {
	process.Command

	hasAnswered  atomic.Bool // it has answered some worker
	warnedMute   sync.Once   // warned that no answer has come
	warnedExit   sync.Once   // warned that it ended badly between two objects
	warnedBanner sync.Once   // warned that it seems to print a line when it starts
}

// program sends each object to a running process and reads its outputs. The package comment has the rules for that
// process, and explains how shifted answers are detected.
type program struct {
	*commandLine
	env      []string
	log      *stderrLog
	say      func(text string) // warns the operator of the mapper
	limit    int               // most bytes of an answer
	patience time.Duration     // before it warns of a program that has never answered

	endTimeout time.Duration // how long a process may run after the end of its input
	termGrace  time.Duration // and then after SIGTERM

	child  *child         // nil until the first object, and after a failure
	spare  *child         // started ahead for the next failure; nil before the first one
	alone  bool           // keep no spare
	failed int            // processes that failed
	ending sync.WaitGroup // processes that are ending in the background

	watch
}

func newProgram(c *commandLine, s Spec) *program {
	var stderr io.Writer = os.Stderr
	if s.Stderr != nil {
		stderr = s.Stderr
	}
	p := &program{
		commandLine: c,
		env:         process.Env(os.Environ()),
		log:         newStderrLog(c.Name(), stderr),
		limit:       chunk.MaxObject,
		patience:    firstPatience,
		endTimeout:  cmp.Or(s.EndTimeout, defaultEnd),
		termGrace:   termGrace,
	}
	p.say = p.log.warn
	if s.Warn != nil {
		p.say = func(text string) { s.Warn(c.Name() + ": " + text) }
	}
	return p
}

// Begin starts a chunk. The process is started with the first object.
func (p *program) Begin(ctx context.Context) error {
	p.log.begin()
	p.begin()
	return ctx.Err()
}

// strict starts the chunk again in a new process, with a wait after every answer.
func (p *program) strict(level int) {
	p.killChild()
	p.level = level
}

// Map sends the object to the process. Run must call confirm before the answer counts.
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
		return dst, ctx.Err() // the chunk is dropped; Run calls abort
	case ctx.Err() != nil && err != nil:
		text := context.Cause(ctx).Error() + ": does the program flush its output after every line? " + flushCure(p.Argv)
		if p.answered == 0 {
			text += ". The time includes its start"
		}
		return dst, p.fail(errors.New(text))
	case errors.Is(err, errLong):
		p.distrust()
		return dst, p.fail(fmt.Errorf("%w: more than %d bytes", err, p.limit))
	case err != nil:
		return dst, p.fail(err)
	}
	p.hasAnswered.Store(true)
	p.heard(time.Since(began), p.child.answers == 0)
	p.child.answers++
	return p.read(answer, dst)
}

// awaitFirst warns if no answer comes for a while and no worker has ever had one. The caller calls stop when it has an
// answer.
func (p *program) awaitFirst() (stop func()) {
	if p.hasAnswered.Load() {
		return func() {}
	}
	timer := time.AfterFunc(p.patience, func() {
		if p.hasAnswered.Load() {
			return
		}
		p.warnedMute.Do(func() {
			p.say(fmt.Sprintf("no answer within %v: it is still starting, or it does not flush its output after every line; %s", p.patience, flushCure(p.Argv)))
		})
	})
	return func() { timer.Stop() }
}

// ready makes sure that a process runs and owes no answer.
func (p *program) ready() error {
	if p.child != nil {
		switch heard := p.child.peek(); {
		case heard == spoken && p.answered > 0 && p.level < strictest:
			return p.desync() // the line came after the wait, so an earlier answer may belong to another object
		case heard == spoken:
			p.say("printed another line after its answer; it must print one line for each object")
			p.killChild()
		case heard == closed: // it exited between two objects, after all its answers
			p.endInBackground(p.endedBetween)
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
		return dst, readFailure(string(bytes.TrimSpace(answer[1:])))
	case !utf8.Valid(answer):
		p.distrust()
		return dst, p.fail(fmt.Errorf("the program answered %s, which is not UTF-8%s", preview(answer), p.answerHint(answer)))
	case !json.Valid(answer):
		p.distrust()
		return dst, p.fail(fmt.Errorf("the program answered %s, which is not JSON%s", preview(answer), p.answerHint(answer)))
	}
	return append(append(dst, answer...), '\n'), nil
}

// readFailure reads an answer that begins with "!", without the "!". It is a temporary failure if its first word is
// "retry"; a duration may follow that word.
func readFailure(message string) error {
	const noReason = "the program gave no reason"
	word, reason, _ := strings.Cut(message, " ")
	if word != "retry" {
		return errors.New(cmp.Or(message, noReason))
	}
	reason = strings.TrimSpace(reason)
	word, rest, _ := strings.Cut(reason, " ")
	after, err := time.ParseDuration(word)
	if err == nil && after >= 0 {
		reason = strings.TrimSpace(rest)
	}
	return &webservice.TemporaryError{Err: errors.New(cmp.Or(reason, noReason)), After: max(after, 0)}
}

func preview(answer []byte) string {
	const most = 80
	if len(answer) > most {
		return fmt.Sprintf("%q…", answer[:most])
	}
	return fmt.Sprintf("%q", answer)
}

// fail kills the process and returns the error that lets the object be tried again, after the objects whose answers are
// unproved.
func (p *program) fail(err error) error {
	unproved := p.level == 0 && p.unchecked > 0
	p.failed++
	c := p.child
	state, stderr := p.killChild()
	switch {
	case unproved && errors.Is(err, errEnded) && c.cmd.ProcessState.Success():
		return errExited
	case unproved:
		return errUnproved
	}
	text := err.Error()
	if errors.Is(err, errEnded) {
		text += " (" + state + ")"
	}
	text += endHint(c.cmd.ProcessState, stderr)
	if stderr != "" {
		text += "; on standard error: " + stderr
	}
	return &faultError{text: text}
}

// killChild kills the process, if one runs. It returns how the process ended and the end of its standard error.
func (p *program) killChild() (state, stderr string) {
	if p.child == nil {
		return "", ""
	}
	c := p.child
	p.forget()
	return c.kill()
}

// forget drops the process without ending it.
func (p *program) forget() {
	p.child = nil
	p.restart()
}

// replace starts a process if none runs. After a failure it also starts a spare, so that the next failure costs no
// start-up time. Programs that never fail have no spare.
func (p *program) replace() error {
	p.child, p.spare = p.spare, nil
	if c := p.child; c != nil && c.peek() != quiet { // the spare exited or printed something
		p.alone = true
		p.child = nil
		c.kill()
	}
	var err error
	if p.child == nil {
		if p.child, err = p.launch(); err != nil {
			return fmt.Errorf("%w: start %s: %w%s", ErrBroken, p.Argv[0], err, startHint(err))
		}
	}
	if p.failed > 0 && !p.alone {
		if p.spare, err = p.launch(); err != nil {
			p.alone, p.spare = true, nil
		}
	}
	return nil
}

func (p *program) launch() (*child, error) {
	return startChild(p.Path, p.Argv, p.env, p.log.process(), p.limit)
}

// endSpare ends the spare. It has had no object, so it has nothing to finish.
func (p *program) endSpare() {
	c := p.spare
	if c == nil {
		return
	}
	p.spare = nil
	p.ending.Go(func() {
		_ = c.stdin.Close()
		c.signal(syscall.SIGTERM)
		c.diesWithin(p.termGrace)
		c.kill() // if it still runs
	})
}
