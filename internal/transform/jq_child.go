package transform

import (
	"bufio"
	"cmp"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/webservice"
)

const (
	// jqArgv0 is the program name under which this binary becomes a jq process, whatever its own purpose is.
	jqArgv0 = "chunkline-jq"

	// jqFlush is how long an answer may wait so that more of them are written at once.
	jqFlush = 5 * time.Millisecond

	// jqHeld is how many bytes of answers may wait.
	jqHeld = 32 << 10
)

// init turns this program into a jq process if it was started as one. It is here and not in the main functions because
// every program with this package must be able to become one, tests included: otherwise it would do its own work a
// second time.
func init() {
	if len(os.Args) != 1 || os.Args[0] != jqArgv0 {
		return
	}
	if err := serveJQ(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1) //nolint:forbidigo // this is the main function of a jq process
	}
	os.Exit(0) //nolint:forbidigo // as above
}

// jqEnv picks the environment of a jq process: the time zone, which localtime uses, and the options of the race
// detector.
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

// serveJQ maps objects until in ends.
func serveJQ(in io.Reader, out io.Writer) error {
	runtime.GOMAXPROCS(jqProcs)
	objects := bufio.NewReaderSize(in, 64<<10)
	kind, text, err := readFrame(objects, nil)
	if err != nil || kind != frameHello {
		return fmt.Errorf("read settings of the jq process: %w", cmp.Or(err, errFrame))
	}
	var hello jqHello
	if err := json.Unmarshal(text, &hello); err != nil {
		return fmt.Errorf("read settings of the jq process: %w", err)
	}
	compiled, err := compileJQ(hello.Setting)
	if err != nil {
		return err
	}
	engine := compiled.engine(hello.Limit)
	if err := hello.limit(); err != nil {
		return err
	}
	w := &answerBuffer{to: out}
	if err := w.append(frameReady, nil); err != nil {
		return err
	}
	return w.serve(engine, objects)
}

const jqProcs = 2 // one for the program, one for the garbage collector

// answerBuffer delays answers while there is more work, so that many are written at once.
type answerBuffer struct {
	to io.Writer

	mu    sync.Mutex
	buf   []byte
	timer *time.Timer // flushes buf after jqFlush
	armed bool        // timer runs
	err   error
}

func (b *answerBuffer) serve(engine *jq, objects *bufio.Reader) error {
	var object, outputs []byte
	for {
		if objects.Buffered() < frameHead {
			if err := b.flush(); err != nil {
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
			err = b.append(frameError, []byte(webservice.Shorten(err.Error(), maxReason)))
		} else {
			err = b.append(frameOutputs, outputs)
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

// append adds an answer to the buffer.
func (b *answerBuffer) append(kind byte, text []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if cap(b.buf) > keptBuffer {
		b.buf = nil
	}
	b.buf = appendFrame(b.buf, kind, text)
	if len(b.buf) > jqHeld {
		return b.write()
	}
	switch {
	case b.armed:
	case b.timer == nil:
		b.armed = true
		b.timer = time.AfterFunc(jqFlush, func() { _ = b.flush() }) // the error is kept in err
	default:
		b.armed = true
		b.timer.Reset(jqFlush)
	}
	return b.err
}

func (b *answerBuffer) flush() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.armed = false
	return b.write()
}

func (b *answerBuffer) write() error {
	if len(b.buf) > 0 && b.err == nil {
		if _, err := b.to.Write(b.buf); err != nil {
			b.err = fmt.Errorf("write answers: %w", err)
		}
	}
	b.buf = b.buf[:0]
	return b.err
}

// A mapper and its jq process exchange frames: a kind of one byte, the length of the payload in four bytes,
// little-endian, and the payload.
const (
	frameHello   = 'h' // to the process, first: a jqHello in JSON
	frameObject  = 'o' // to the process: an object
	frameReady   = 'r' // from the process: the program is compiled
	frameOutputs = '=' // from the process: the outputs of an object
	frameError   = '!' // from the process: why an object failed

	frameHead = 5
	frameMost = chunk.MaxObject + 64<<10 // most bytes of an object, its outputs or a setting
)

var errFrame = errors.New("not a frame")

// appendFrame appends a frame to dst.
func appendFrame(dst []byte, kind byte, rest []byte) []byte {
	dst = append(dst, kind)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(rest)))
	return append(dst, rest...)
}

// readFrame reads a frame and appends its payload to dst.
func readFrame(r *bufio.Reader, dst []byte) (kind byte, out []byte, err error) {
	head, err := r.Peek(frameHead)
	if err != nil {
		if len(head) > 0 && errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return 0, dst, err
	}
	kind, size := head[0], int(binary.LittleEndian.Uint32(head[1:]))
	if size > frameMost {
		return 0, dst, fmt.Errorf("%w: %d bytes", errFrame, size)
	}
	_, _ = r.Discard(frameHead) // Peek has returned them, so this cannot fail
	start := len(dst)
	out = slices.Grow(dst, size)[:start+size]
	if _, err := io.ReadFull(r, out[start:]); err != nil {
		return 0, dst, err
	}
	return kind, out, nil
}

// hasFrame reports whether a whole frame is buffered, so that readFrame will not wait.
func hasFrame(r *bufio.Reader) bool {
	n := r.Buffered()
	if n < frameHead {
		return false
	}
	head, _ := r.Peek(frameHead)
	return n >= frameHead+int(binary.LittleEndian.Uint32(head[1:]))
}
