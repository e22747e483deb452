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

// A stderrLog passes on the standard error of one worker's processes.
type stderrLog struct {
	prefix string
	to     io.Writer

	mu   sync.Mutex
	left int // bytes that may still be passed on for this chunk
}

// lastWords takes the standard error of one process. It keeps its end and
// passes whole lines on. Write never fails: a process must not die of our
// troubles.
type lastWords struct {
	*stderrLog
	tail []byte // guarded by mu
	line []byte // guarded by mu; passed on when it is complete
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

// process makes what takes the standard error of a new process.
func (l *stderrLog) process() *lastWords { return &lastWords{stderrLog: l} }

func (l *lastWords) Write(p []byte) (int, error) {
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

func (l *lastWords) keep(p []byte) {
	if len(p) > tailBytes {
		p = p[len(p)-tailBytes:]
	}
	if over := len(l.tail) + len(p) - tailBytes; over > 0 {
		l.tail = append(l.tail[:0], l.tail[over:]...)
	}
	l.tail = append(l.tail, p...)
}

func (l *lastWords) flush() {
	switch text := l.prefix + string(l.line) + "\n"; {
	case l.left < 0:
	case len(text) > l.left:
		l.left = -1
		l.pass(l.prefix + "(more is dropped until the next chunk)\n")
	default:
		l.left -= len(text)
		l.pass(text)
	}
	l.line = l.line[:0]
}

// pass cannot do more about an error than lose the line.
func (l *stderrLog) pass(text string) { _, _ = io.WriteString(l.to, text) }

// note passes a line of our own on.
func (l *stderrLog) note(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pass("chunkline: " + l.prefix + text + "\n")
}

// end is called when the process is gone. It returns its last words.
func (l *lastWords) end() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.line) > 0 {
		l.flush()
	}
	tail := strings.ToValidUTF8(strings.TrimSpace(string(l.tail)), "\uFFFD")
	l.tail = l.tail[:0]
	return tail
}
