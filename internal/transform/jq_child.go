//go:build linux || darwin

package transform

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"time"
)

const (
	// jqArgv0 is the name under which a program with this package is a process
	// for jq, whatever else it is.
	jqArgv0 = "chunkline-jq"

	// jqFlush is how long an answer may be held back while its process works on.
	jqFlush = 5 * time.Millisecond

	// jqHeld is how many bytes of answers may be held back.
	jqHeld = 32 << 10
)

// init makes this program a process for jq, if it was started as one. It is
// done here and not in the main functions because every program with this
// package must be able to be one, tests included: one that is started as such
// and does not know would do its own work a second time.
func init() {
	if len(os.Args) != 1 || os.Args[0] != jqArgv0 {
		return
	}
	if err := serveJQ(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1) //nolint:forbidigo // this is the main function of such a process
	}
	os.Exit(0) //nolint:forbidigo // likewise
}

// jqEnv picks the environment of a process for jq: the time zone, which
// localtime looks at, and what the race detector is told.
func jqEnv(all []string) []string {
	env := []string{"GOTRACEBACK=none"}
	for _, variable := range all {
		switch name, _, _ := strings.Cut(variable, "="); name {
		case "TZ", "ZONEINFO", "GORACE":
			env = append(env, variable)
		}
	}
	return env
}

// serveJQ answers objects until in ends.
func serveJQ(in io.Reader, out io.Writer) error {
	runtime.GOMAXPROCS(jqProcs)
	objects := bufio.NewReaderSize(in, 64<<10)
	kind, text, err := readFrame(objects, nil)
	if err != nil || kind != frameHello {
		return fmt.Errorf("read what jq is told: %w", cmp.Or(err, errFrame))
	}
	var hello jqHello
	if err := json.Unmarshal(text, &hello); err != nil {
		return fmt.Errorf("read what jq is told: %w", err)
	}
	settings, program, err := splitJQ(hello.Setting)
	if err != nil {
		return err
	}
	code, err := compileJQ(program, settings.names)
	if err != nil {
		return err
	}
	engine := &jq{code: code, values: settings.values, limit: hello.Limit}
	debug.SetMaxStack(hello.Stack)
	debug.SetGCPercent(jqGC)
	debug.SetMemoryLimit(int64(hello.Memory - hello.Memory/8))
	if err := limitMemory(hello.Memory); err != nil {
		return fmt.Errorf("limit memory: %w", err)
	}
	w := &held{to: out}
	if err := w.append(frameReady, nil); err != nil {
		return err
	}
	return w.serve(engine, objects)
}

const (
	jqProcs = 2   // one for the program, one for what collects its garbage
	jqGC    = 200 // percent; the heap is small, and would be collected all the time
)

// held holds answers back while there is work, so that many travel at once.
type held struct {
	to io.Writer

	mu    sync.Mutex
	buf   []byte
	timer *time.Timer // ends the holding back
	armed bool
	err   error
}

func (h *held) serve(engine *jq, objects *bufio.Reader) error {
	var object, outputs []byte
	for {
		if objects.Buffered() < frameHead {
			if err := h.flush(); err != nil {
				return err
			}
		}
		kind, text, err := readFrame(objects, object[:0])
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err == nil && kind != frameObject:
			err = errFrame
		}
		if err != nil {
			return fmt.Errorf("read object: %w", err)
		}
		outputs, err = engine.Map(context.Background(), text, outputs[:0])
		if err != nil {
			err = h.append(frameError, []byte(shorten(err.Error(), maxReason)))
		} else {
			err = h.append(frameOutputs, outputs)
		}
		if err != nil {
			return err
		}
		object = text
		if cap(object)+cap(outputs) > keptBuffer {
			object, outputs = nil, nil
		}
	}
}

// append holds an answer back.
func (h *held) append(kind byte, text []byte) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if cap(h.buf) > keptBuffer {
		h.buf = nil
	}
	h.buf = appendFrame(h.buf, kind, text)
	if len(h.buf) > jqHeld {
		return h.write()
	}
	switch {
	case h.armed:
	case h.timer == nil:
		h.armed = true
		h.timer = time.AfterFunc(jqFlush, func() { _ = h.flush() }) // an error stays
	default:
		h.armed = true
		h.timer.Reset(jqFlush)
	}
	return h.err
}

func (h *held) flush() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.armed = false
	return h.write()
}

func (h *held) write() error {
	if len(h.buf) > 0 && h.err == nil {
		if _, err := h.to.Write(h.buf); err != nil {
			h.err = fmt.Errorf("write answers: %w", err)
		}
	}
	h.buf = h.buf[:0]
	return h.err
}
