//go:build linux || darwin

package transform

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/chunkline/chunkline/internal/chunk"
)

const (
	// jqMemoryOfByte is how much memory a program may have for each byte of an
	// object, if that is more than its budget: an object takes some 50 bytes a
	// byte when it is nothing but small numbers.
	jqMemoryOfByte = 64

	// jqStack is how much stack a program may have: a value that is nested
	// some 100,000 deep needs more.
	jqStack = 64 << 20

	// jqWindow is how many bytes of objects a process may have that it has not
	// answered. A pipe takes that much without waiting.
	jqWindow = 48 << 10

	// jqStart bounds how long a process may take to start.
	jqStart = time.Minute

	// jqStarts is how often it is tried: a busy machine may have no room for a
	// process, or for its threads, at the moment.
	jqStarts = 3

	// jqAhead is the least timeout with which a process works ahead: its
	// answers may be held back for a moment (jqFlush), which would count.
	jqAhead = time.Second
)

// jqProcess is a Transform whose program runs in a process of its own, this
// one's program executed again. It has a budget of memory and stack, and what
// exceeds it ends that process and no other.
//
// The process works ahead: it is sent many objects at a time. When it dies, it
// is not known of which of them, so they are then asked one by one. An object
// is blamed only by a process that has seen no other.
type jqProcess struct {
	hello jqHello // Memory is that for an object of ordinary size
	words headLog

	child   *child // nil until it is needed, and after it failed
	memory  int    // the budget of child
	answers *bufio.Reader
	used    bool       // child has seen an object
	starts  int        // of processes, for tests
	sent    chan error // how the sending of the rest ended, if the pipe was full; else nil
	buf     []byte     // what is sent

	// Of this chunk:
	queue  [][]byte // the objects that will be asked for, the next one first
	flying int      // how many objects child has, and has not answered: the first of queue, or one that is not in it
	weight int      // bytes of those
	single bool     // a process has died of one of queue, and it is not known which
}

func newJQProcess(setting string, memory int) *jqProcess {
	return &jqProcess{hello: jqHello{Setting: setting, Limit: chunk.MaxObject, Memory: memory, Stack: jqStack}}
}

// Begin starts a chunk, and the process: so its start costs no object's time.
func (j *jqProcess) Begin(ctx context.Context) error {
	if j.flying > 0 {
		j.retire()
	}
	j.queue, j.single = nil, false
	if err := ctx.Err(); err != nil {
		return err
	}
	return j.ready(ctx, 0)
}

// End has nothing to do.
func (j *jqProcess) End(ctx context.Context) error { return ctx.Err() }

func (j *jqProcess) ahead(objects [][]byte, timeout time.Duration) {
	if timeout <= 0 || timeout >= jqAhead {
		j.queue = objects
	}
}

// abort forgets the chunk.
func (j *jqProcess) abort() {
	j.retire()
	j.queue = nil
}

// Close ends the process.
func (j *jqProcess) Close() error {
	j.abort() // it has nothing to finish
	return nil
}

// Map makes one try of an object.
func (j *jqProcess) Map(ctx context.Context, object, dst []byte) ([]byte, error) {
	if len(j.queue) == 0 || !same(j.queue[0], object) {
		if j.flying > 0 { // it was not to be asked for now
			j.retire()
		}
	} else {
		if err := j.topUp(ctx); err != nil {
			return dst, err
		}
		j.queue = j.queue[1:]
	}
	asked := j.flying > 0
	fresh := false
	if !asked {
		if err := j.ready(ctx, j.budget(object)); err != nil {
			return dst, err
		}
		fresh = !j.used
		j.send([][]byte{object})
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
	state, words := j.retire()
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	} else {
		err = verdict(fresh, state, words, memory, j.hello.Stack)
		j.single = !fresh // one of those that the process has seen, or was to see, did it
	}
	if !errors.Is(err, context.Canceled) {
		err = cmp.Or(j.restart(ctx), err)
	}
	return dst, err
}

// answered notes that the process has answered an object.
func (j *jqProcess) answered(ctx context.Context, object []byte) error {
	j.flying--
	j.weight -= len(object) + frameHead
	if j.flying == 0 {
		j.land()
	}
	if j.memory == j.hello.Memory {
		return nil
	}
	j.retire() // it has a budget that is no other object's
	return j.restart(ctx)
}

// restart starts the next process if it is known to be needed: its start then
// costs no object's time.
func (j *jqProcess) restart(ctx context.Context) error {
	if len(j.queue) == 0 {
		return nil
	}
	return j.ready(context.WithoutCancel(ctx), 0) // ctx is that of the object before
}

// budget is how much memory a program may have for object.
func (j *jqProcess) budget(object []byte) int {
	return max(j.hello.Memory, jqMemoryOfByte*len(object))
}

// topUp sends the next objects of the queue when the process will soon have
// none: as many as are on their way without waiting, and none that needs more
// memory than others.
func (j *jqProcess) topUp(ctx context.Context) error {
	if j.single || j.weight > jqWindow/2 || j.sent != nil {
		return nil
	}
	n, weight := j.flying, j.weight
	for n < len(j.queue) && j.budget(j.queue[n]) == j.hello.Memory {
		weight += len(j.queue[n]) + frameHead
		if weight > jqWindow && n > 0 {
			break
		}
		n++
	}
	if n == j.flying {
		return nil
	}
	if err := j.ready(ctx, 0); err != nil {
		return err
	}
	j.send(j.queue[j.flying:n])
	return nil
}

// send sends objects. How it fails shows when the answer is read.
func (j *jqProcess) send(objects [][]byte) {
	j.land()
	if cap(j.buf) > keptBuffer {
		j.buf = nil
	}
	j.buf = j.buf[:0]
	j.flying += len(objects)
	for _, object := range objects {
		j.weight += len(object) + frameHead
		j.buf = appendFrame(j.buf, frameObject, object)
	}
	rest, err := j.child.send(j.buf)
	if err != nil || len(rest) == 0 {
		return
	}
	// The pipe is full. The process may need us to read before it reads on.
	stdin := j.child.stdin
	sent := make(chan error, 1)
	go func() {
		_, err := stdin.Write(rest)
		sent <- err
	}()
	j.sent = sent
}

// land waits until all is sent: the process has answered it, or is dead.
func (j *jqProcess) land() {
	if j.sent != nil {
		<-j.sent //nolint:errcheck // why a dead process took nothing is of no interest
		j.sent = nil
	}
}
