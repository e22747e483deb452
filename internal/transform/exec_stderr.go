package transform

import (
	"bytes"
	"io"
	"strings"
	"sync"
)

const (
	tailBytes   = 4 << 10  // of standard error in an error text
	lineBytes   = 4 << 10  // of one line that is passed on
	passedBytes = 64 << 10 // passed on for a chunk
)

// A stderrLog passes on the standard error of one worker's processes, within a limit for each chunk.
type stderrLog struct {
	prefix string
	to     io.Writer

	mu   sync.Mutex
	left int // bytes that this chunk may still pass on
}

// stderrTail receives the standard error of one process. It keeps the end and passes on whole lines. Write never fails,
// so that an error here does not end the process.
type stderrTail struct {
	*stderrLog
	tail []byte // guarded by mu
	line []byte // guarded by mu; the line that is not complete yet
}

func newStderrLog(name string, to io.Writer) *stderrLog {
	return &stderrLog{prefix: name + ": ", to: to, left: passedBytes}
}

// begin starts a new chunk.
func (l *stderrLog) begin() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.left = passedBytes
}

// process returns the sink for the standard error of a new process.
func (l *stderrLog) process() *stderrTail { return &stderrTail{stderrLog: l} }

func (l *stderrTail) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.keep(p)
	for rest := p; len(rest) > 0; {
		part, after, ended := bytes.Cut(rest, []byte{'\n'})
		part = part[:min(len(part), lineBytes-len(l.line))]
		l.line = append(l.line, part...)
		if ended {
			l.flush()
		}
		rest = after
	}
	return len(p), nil
}

func (l *stderrTail) keep(p []byte) {
	if len(p) > tailBytes {
		p = p[len(p)-tailBytes:]
	}
	if over := len(l.tail) + len(p) - tailBytes; over > 0 {
		l.tail = append(l.tail[:0], l.tail[over:]...)
	}
	l.tail = append(l.tail, p...)
}

func (l *stderrTail) flush() {
	switch text := l.prefix + string(l.line) + "\n"; {
	case l.left < 0:
	case len(text) > l.left:
		l.left = -1
		l.pass(l.prefix + "(more output is dropped until the next chunk)\n")
	default:
		l.left -= len(text)
		l.pass(text)
	}
	l.line = l.line[:0]
}

// pass ignores errors: the line is lost.
func (l *stderrLog) pass(text string) { _, _ = io.WriteString(l.to, text) }

// warn writes a line of chunkline's own.
func (l *stderrLog) warn(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pass("chunkline: " + l.prefix + text + "\n")
}

// end writes the rest of the last line and returns the tail, when the process is gone.
func (l *stderrTail) end() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.line) > 0 {
		l.flush()
	}
	tail := strings.ToValidUTF8(strings.TrimSpace(string(l.tail)), "\uFFFD")
	l.tail = l.tail[:0]
	return tail
}
