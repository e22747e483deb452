package transform

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/chunkline/chunkline/internal/chunk"
)

// What travels between a mapper and its process for jq are frames: a byte that
// says what it is, the length of the rest in four bytes, and the rest.
const (
	frameHello   = 'h' // to the process, first: jqHello as JSON
	frameObject  = 'o' // to the process: an object
	frameReady   = 'r' // from the process: it has compiled the program
	frameOutputs = '=' // from the process: the outputs of an object
	frameError   = '!' // from the process: the reason why an object has none

	frameHead = 5
	frameMost = chunk.MaxObject + 64<<10 // an object, its outputs with line breaks, or a setting
)

var errFrame = errors.New("not a frame")

// appendFrame appends a frame to dst.
func appendFrame(dst []byte, kind byte, rest []byte) []byte {
	dst = append(dst, kind)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(rest)))
	return append(dst, rest...)
}

// readFrame reads a frame and appends its rest to dst.
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
	_, _ = r.Discard(frameHead) // they were peeked at
	start := len(dst)
	out = slices.Grow(dst, size)[:start+size]
	if _, err := io.ReadFull(r, out[start:]); err != nil {
		return 0, dst, err
	}
	return kind, out, nil
}

// hasFrame says whether a whole frame has been read ahead, so that readFrame
// will not wait.
func hasFrame(r *bufio.Reader) bool {
	n := r.Buffered()
	if n < frameHead {
		return false
	}
	head, _ := r.Peek(frameHead)
	return n >= frameHead+int(binary.LittleEndian.Uint32(head[1:]))
}
