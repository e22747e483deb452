//go:build linux || darwin

package transform

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// jqHello is the first thing that a process for jq is told.
type jqHello struct {
	Setting string `json:"setting"` // what follows "jq" in the spec
	Limit   int    `json:"limit"`   // bytes of an object's outputs
	Memory  int    `json:"memory"`  // bytes
	Stack   int    `json:"stack"`   // bytes
}

// ready sees to it that a process runs that has the given budget of memory, or
// the ordinary one if that is less.
func (j *jqProcess) ready(ctx context.Context, memory int) error {
	memory = max(memory, j.hello.Memory)
	if j.child != nil && j.memory != memory {
		j.retire()
	}
	for try := 1; j.child == nil; try++ {
		err := j.start(ctx, memory)
		if err != nil && (try == jqStarts || ctx.Err() != nil) {
			return err
		}
	}
	return nil
}

// start starts a process, and waits until it is ready.
func (j *jqProcess) start(ctx context.Context, memory int) error {
	hello := j.hello
	hello.Memory = memory
	text, err := json.Marshal(hello)
	if err != nil {
		return fmt.Errorf("encode what jq is told: %w", err)
	}
	path, err := selfPath()
	if err != nil {
		return fmt.Errorf("%w: find this program to start jq: %w", ErrBroken, err)
	}
	j.words.reset()
	c, err := startChild(path, []string{jqArgv0}, jqEnv(os.Environ()), &j.words, hello.Limit)
	if err != nil {
		return fmt.Errorf("%w: start process for jq: %w", ErrBroken, err)
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
		state, words := j.retire()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return fmt.Errorf("%w: start process for jq: it ended (%s) before it was ready: %s", ErrBroken, state, words)
	}
	return nil
}

// retire kills the process, if one runs. It returns how it ended and its first
// words on standard error.
func (j *jqProcess) retire() (state, words string) {
	if j.child == nil {
		return "", ""
	}
	j.child.interrupt()
	j.land()
	state, words = j.child.kill()
	j.child, j.flying, j.weight = nil, 0, 0
	return state, words
}

// receive reads a frame, or ends with os.ErrDeadlineExceeded when ctx does.
func (c *child) receive(ctx context.Context, r *bufio.Reader, dst []byte) (byte, []byte, error) {
	if !hasFrame(r) {
		defer c.guard(ctx, time.Time{})()
	}
	return readFrame(r, dst)
}

// same says whether a and b are the same bytes in memory.
func same(a, b []byte) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}

// headLog keeps the first words of a process on standard error, which say what
// a Go program dies of.
type headLog struct {
	mu   sync.Mutex
	head []byte
}

func (l *headLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.head = append(l.head, p[:min(len(p), tailBytes-len(l.head))]...)
	return len(p), nil
}

func (l *headLog) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.head = l.head[:0]
}

func (l *headLog) end() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.ToValidUTF8(string(bytes.TrimSpace(l.head)), "\uFFFD")
}

// verdict is what the death of a process means for the object that it had.
func verdict(fresh bool, state, words string, memory, stack int) error {
	switch {
	case !fresh: // it may be another object's doing: once more, in a process that has seen no other
		return &faultError{text: "the process for jq ended (" + state + ")"}
	case containsAny(words, "out of memory", "allocate", "cannot map", "pthread_create failed", "new OS thread"):
		// A thread's stack is memory, too, and is asked for while a program works hard.
		return fmt.Errorf("jq: the program needs more than %d MiB of memory for this object, which is its budget; "+
			"jq?memory=1GiB:PROGRAM has another one", memory>>20)
	case containsAny(words, "stack exceeds", "stack overflow"):
		return fmt.Errorf("jq: the program needs more than %d MiB of stack for this object, which is its budget: a value or a recursion is too deep", stack>>20)
	}
	text := "the process for jq ended (" + state + ")"
	if words, _, _ = strings.Cut(words, "\n"); words != "" {
		text += ": " + words
	}
	if strings.Contains(state, "exit status 2") { // of Go itself, which can fail in many ways when it has no memory
		text += fmt.Sprintf("; it ends like that when the program needs more than its budget of %d MiB of memory for this object", memory>>20)
	}
	return &faultError{text: text}
}

func containsAny(text string, parts ...string) bool {
	return slices.ContainsFunc(parts, func(part string) bool { return strings.Contains(text, part) })
}
