package transform

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/transform/direct"
)

const (

	// jqWindow is the most bytes of unanswered objects in a process. A pipe takes that much without waiting.
	jqWindow = 48 << 10

	// jqStart bounds how long a process may take to start.
	jqStart = time.Minute

	// jqStarts is how often starting a process is tried: a busy machine may lack room for a process or its threads for
	// a moment.
	jqStarts = 3

	// jqAhead is the shortest timeout with which objects are sent ahead: answers may be delayed by jqFlush, which
	// counts toward the timeout.
	jqAhead = time.Second
)

// jqProcess is a Transform whose program runs in a process of its own: this binary, started again. Exceeding the budget
// of memory and stack ends that process and no other.
//
// Objects are sent ahead, many at a time. If the process dies, it is not known which object killed it, so the
// unanswered ones are then sent one by one. An object fails only if it killed a process that had seen no other object.
//
// A program that package direct has compiled needs no process until direct gives up on an object. The process then gets
// that object and the rest of the chunk.
type jqProcess struct {
	direct *direct.Program // nil: there is none

	hello jqHello // its Memory is the budget of an object of ordinary size

	child   *child // nil until the first chunk, and after a failure
	memory  int    // memory budget of child
	answers *bufio.Reader
	used    bool         // child has been sent an object
	starts  int          // how many processes were started, for tests
	sent    <-chan error // result of writing the rest if the pipe was full; else nil
	buf     []byte       // the frames being sent

	// Of this chunk:
	queue      []upcoming // the objects that Map will be called with, the next one first
	unanswered int        // objects that child has not answered: the first of queue, or one that is not in it
	weight     int        // bytes of the unanswered objects
	single     bool       // an unknown object of queue killed a process: send one at a time
	gaveUp     bool       // direct has given up on an object
}

func newJQProcess(setting string, memory int, program *direct.Program) *jqProcess {
	return &jqProcess{direct: program, hello: jqHello{Setting: setting, Limit: chunk.MaxObject, Memory: memory, Stack: jqStack}}
}

// Begin starts a chunk, and the process if it is certain to be needed, so that its start counts toward no object's
// timeout.
func (j *jqProcess) Begin(ctx context.Context) error {
	if j.unanswered > 0 {
		j.killChild()
	}
	j.queue, j.single, j.gaveUp = nil, false, false
	if err := ctx.Err(); err != nil || j.direct != nil {
		return err
	}
	return j.ready(ctx, 0)
}

// End has nothing to do.
func (j *jqProcess) End(ctx context.Context) error { return ctx.Err() }

func (j *jqProcess) ahead(_ context.Context, objects []upcoming, limit tryLimit) {
	if limit.most <= 0 || limit.most >= jqAhead {
		j.queue = objects
	}
}

// abort drops the chunk.
func (j *jqProcess) abort() {
	j.killChild()
	j.queue = nil
}

// Close ends the process.
func (j *jqProcess) Close() error {
	j.abort() // the process has nothing to finish
	return nil
}

// now maps an object with direct, or returns the answer of the process if it is there.
func (j *jqProcess) now(ctx context.Context, object, dst []byte) (out []byte, done bool, err error) {
	next := len(j.queue) > 0 && same(j.queue[0].object, object)
	if j.direct != nil && !j.gaveUp {
		if out, ok := j.direct.Map(object, dst, j.hello.Limit+1); ok {
			if next {
				j.queue = j.queue[1:]
			}
			return out, true, nil
		}
		j.gaveUp = true
		err := j.ready(ctx, j.budget(object)) // here, so that the start counts toward no object's timeout
		return dst, err != nil, err
	}
	if !next || j.unanswered == 0 || !hasFrame(j.answers) {
		return dst, false, nil
	}
	out, err = j.Map(ctx, object, dst)
	return out, true, err
}

// Map makes one try of an object in the process.
func (j *jqProcess) Map(ctx context.Context, object, dst []byte) ([]byte, error) {
	if len(j.queue) == 0 || !same(j.queue[0].object, object) {
		if j.unanswered > 0 { // Map was not called in the announced order
			j.killChild()
		}
	} else {
		if err := j.topUp(ctx); err != nil {
			return dst, err
		}
		j.queue = j.queue[1:]
	}
	asked := j.unanswered > 0
	fresh := false
	if !asked {
		if err := j.ready(ctx, j.budget(object)); err != nil {
			return dst, err
		}
		fresh = !j.used
		j.send([]upcoming{{object: object}})
	}
	j.used = true
	kind, out, err := j.child.receive(ctx, j.answers, dst)
	switch {
	case err == nil && kind == frameOutputs:
		return out, j.answered(ctx, object)
	case err == nil && kind == frameError:
		return dst, cmp.Or(j.answered(ctx, object), errors.New(string(out[len(dst):])))
	}
	memory := j.memory
	state, stderr := j.killChild()
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	} else {
		err = explainDeath(fresh, state, stderr, memory, j.hello.Stack)
		j.single = !fresh // an object that was sent before may have caused it
	}
	if !errors.Is(err, context.Canceled) {
		err = cmp.Or(j.restart(ctx), err)
	}
	return dst, err
}

// answered records an answer of the process.
func (j *jqProcess) answered(ctx context.Context, object []byte) error {
	j.unanswered--
	j.weight -= len(object) + frameHead
	if j.unanswered == 0 {
		j.awaitSent()
	}
	if j.memory == j.hello.Memory {
		return nil
	}
	j.killChild() // its budget was for this object only
	return j.restart(ctx)
}

// restart starts the next process if it is known to be needed, so that its start counts toward no object's timeout.
func (j *jqProcess) restart(ctx context.Context) error {
	if len(j.queue) == 0 {
		return nil
	}
	return j.ready(context.WithoutCancel(ctx), 0) // ctx belongs to the previous object
}

// topUp sends more objects of the queue before the process runs out: as many as the pipe takes without waiting, but
// none that needs a larger budget.
func (j *jqProcess) topUp(ctx context.Context) error {
	if j.single || j.weight > jqWindow/2 || j.sent != nil {
		return nil
	}
	n, weight := j.unanswered, j.weight
	for n < len(j.queue) && j.budget(j.queue[n].object) == j.hello.Memory {
		weight += len(j.queue[n].object) + frameHead
		if weight > jqWindow && n > 0 {
			break
		}
		n++
	}
	if n == j.unanswered {
		return nil
	}
	if err := j.ready(ctx, 0); err != nil {
		return err
	}
	j.send(j.queue[j.unanswered:n])
	return nil
}

// send sends objects. If it fails, reading the answer shows why.
func (j *jqProcess) send(objects []upcoming) {
	j.awaitSent()
	if cap(j.buf) > keptBuffer {
		j.buf = nil
	}
	j.buf = j.buf[:0]
	j.unanswered += len(objects)
	for _, next := range objects {
		j.weight += len(next.object) + frameHead
		j.buf = appendFrame(j.buf, frameObject, next.object)
	}
	rest, err := j.child.send(j.buf)
	if err == nil && len(rest) > 0 {
		j.sent = j.child.sendBeside(rest)
	}
}

// awaitSent waits until everything is sent: the process has read it, or is dead.
func (j *jqProcess) awaitSent() {
	if j.sent != nil {
		<-j.sent //nolint:errcheck // the caller knows that the process is dead
		j.sent = nil
	}
}

// jqHello is the first message to a jq process.
type jqHello struct {
	Setting string `json:"setting"` // the part of the setting after "jq"
	Limit   int    `json:"limit"`   // most bytes of an object's outputs
	Memory  int    `json:"memory"`  // bytes
	Stack   int    `json:"stack"`   // bytes
}

// ready makes sure that a process with the given memory budget runs, or with the ordinary one if that is larger.
func (j *jqProcess) ready(ctx context.Context, memory int) error {
	memory = max(memory, j.hello.Memory)
	if j.child != nil && j.memory != memory {
		j.killChild()
	}
	for try := 1; j.child == nil; try++ {
		err := j.start(ctx, memory)
		if err != nil && (try == jqStarts || ctx.Err() != nil) {
			return err
		}
	}
	return nil
}

// start starts a process and waits until it is ready.
func (j *jqProcess) start(ctx context.Context, memory int) error {
	hello := j.hello
	hello.Memory = memory
	text, err := json.Marshal(hello)
	if err != nil {
		return fmt.Errorf("encode settings of the jq process: %w", err)
	}
	path, err := selfPath()
	if err != nil {
		return fmt.Errorf("%w: find this program's file to start a jq process: %w", ErrBroken, err)
	}
	c, err := startChild(path, []string{jqArgv0}, jqEnv(os.Environ()), &headLog{}, hello.Limit)
	if err != nil {
		return fmt.Errorf("%w: start jq process: %w", ErrBroken, err)
	}
	j.child, j.memory, j.used = c, memory, false
	j.starts++
	if j.answers == nil {
		j.answers = bufio.NewReaderSize(c.stdout, 64<<10)
	} else {
		j.answers.Reset(c.stdout)
	}
	starting, cancel := context.WithTimeout(ctx, jqStart)
	defer cancel()
	_, err = c.stdin.Write(appendFrame(nil, frameHello, text))
	if err == nil {
		var kind byte
		if kind, _, err = c.receive(starting, j.answers, nil); err == nil && kind != frameReady {
			err = errFrame
		}
	}
	if err != nil {
		state, stderr := j.killChild()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return fmt.Errorf("%w: start jq process: it ended (%s) before it was ready: %s", ErrBroken, state, stderr)
	}
	return nil
}

// killChild kills the process, if one runs. It returns how the process ended and the beginning of its standard error.
func (j *jqProcess) killChild() (state, stderr string) {
	if j.child == nil {
		return "", ""
	}
	j.child.interrupt()
	j.awaitSent()
	state, stderr = j.child.kill()
	j.child, j.unanswered, j.weight = nil, 0, 0
	return state, stderr
}

// receive reads a frame. It returns os.ErrDeadlineExceeded if ctx ends first.
func (c *child) receive(ctx context.Context, r *bufio.Reader, dst []byte) (byte, []byte, error) {
	if !hasFrame(r) {
		defer c.guard(ctx, time.Time{})()
	}
	return readFrame(r, dst)
}

// same reports whether a and b are the same bytes in memory.
func same(a, b []byte) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}
