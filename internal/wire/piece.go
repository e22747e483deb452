package wire

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/chunkline/chunkline/internal/chunk"
)

// MaxPieces bounds the pieces of one grant, and of one message of results.
const MaxPieces = 1024

// A piece in a body is a line of JSON that describes it, then its lines. pieceLine has the fields that the descriptions
// of a granted piece and of a result have in common: the objects of the source, and the lease.
type pieceLine struct {
	Chunk   chunk.ID `json:"chunk"`
	From    int      `json:"from,omitempty"` // index of its first object within the chunk
	Objects int      `json:"objects"`
	Of      int      `json:"of,omitempty"` // objects of the chunk; 0: the piece is the whole chunk
	First   uint64   `json:"first"`        // ordinal of its first object
	Digest  string   `json:"digest"`
	Attempt int      `json:"attempt"`
	Token   string   `json:"token"`

	TraceParent string `json:"traceparent,omitempty"`
	TraceState  string `json:"tracestate,omitempty"`
}

func (l *pieceLine) cut(id chunk.ID, from, objects, of int, first uint64, digest chunk.Digest) {
	l.Chunk, l.From, l.Objects, l.First, l.Digest = id, from, objects, first, digest.String()
	if of != objects {
		l.Of = of
	}
}

// check returns the digest, or an error if the description contradicts itself or exceeds the bounds.
func (l *pieceLine) check() (chunk.Digest, error) {
	if l.Of == 0 {
		l.Of = l.Objects
	}
	digest, err := chunk.ParseDigest(l.Digest)
	_, badToken := parseHex(l.Token, tokenSize)
	switch {
	case l.Chunk > maxID || l.First > maxID:
		err = fmt.Errorf("chunk %d, first %d: want numbers up to %d", l.Chunk, l.First, uint64(maxID))
	case l.Of < 1 || l.Of > chunk.MaxSize || l.Objects < 1 || l.From < 0 || l.From > l.Of-l.Objects:
		err = fmt.Errorf("chunk %d: %d objects from %d on of %d", l.Chunk, l.Objects, l.From, l.Of)
	case l.First < uint64(l.From):
		err = fmt.Errorf("chunk %d: object %d of it has ordinal %d", l.Chunk, l.From, l.First)
	case l.Attempt < 0 || l.Attempt > maxAttempt:
		err = fmt.Errorf("chunk %d: attempt %d", l.Chunk, l.Attempt)
	case badToken != nil:
		err = fmt.Errorf("chunk %d: token: %w", l.Chunk, badToken)
	}
	return digest, err
}

func (l *pieceLine) trace() Trace {
	t := Trace{Parent: traceText(l.TraceParent, maxTraceParent)}
	if t.Parent != "" {
		t.State = traceText(l.TraceState, maxTraceState)
	}
	return t
}

func (l *pieceLine) setTrace(t Trace) {
	if l.TraceParent = traceText(t.Parent, maxTraceParent); l.TraceParent != "" {
		l.TraceState = traceText(t.State, maxTraceState)
	}
}

// appendLine appends a description and a line break.
func appendLine(body []byte, line any) []byte {
	return append(append(body, mustJSON(line)...), '\n')
}

// body reads a body of pieces.
type body struct {
	what string
	left []byte
}

// line reads the next description into v.
func (b *body) line(v any) error {
	line, rest, ended := bytes.Cut(b.left, []byte{'\n'})
	if !ended {
		return corrupt(b.what, "the line of a piece has no end")
	}
	b.left = rest
	if err := json.Unmarshal(line, v); err != nil {
		return fmt.Errorf("decode %s: %w: line of a piece: %w", b.what, ErrMalformed, err)
	}
	return nil
}

// lines takes n bytes, which must contain this number of lines.
func (b *body) lines(kind string, n, lines int) ([]byte, error) {
	if n < 0 || n > len(b.left) {
		return nil, corrupt(b.what, "%d bytes of %s, and %d are left", n, kind, len(b.left))
	}
	taken := b.left[:n:n]
	b.left = b.left[n:]
	return taken, checkLines(b.what, kind, taken, lines)
}

// pieces is a set of at most most pieces, written as "1-5:0-99,9:0-49": the chunks, then the indexes of the objects of
// each of them, both inclusive. Reading returns them in ascending order, each once.
func (f *fields) pieces(key string, v *[]chunk.Piece, most int, p presence) {
	f.field(key, p, len(*v) == 0, func() string { return writePieces(*v) }, func(s string) (err error) {
		*v, err = readPieces(s, most)
		return err
	})
}

func writePieces(set []chunk.Piece) string {
	if !slices.IsSortedFunc(set, chunk.Piece.Compare) {
		set = slices.SortedFunc(slices.Values(set), chunk.Piece.Compare)
	}
	var text []byte
	for i := 0; i < len(set); {
		first, last := set[i], set[i]
		for i++; i < len(set) && (set[i] == last || set[i] == chunk.Piece{Chunk: last.Chunk + 1, From: last.From, To: last.To}); i++ {
			last = set[i]
		}
		if len(text) > 0 {
			text = append(text, ',')
		}
		text = strconv.AppendUint(text, uint64(first.Chunk), 10)
		if last.Chunk > first.Chunk {
			text = strconv.AppendUint(append(text, '-'), uint64(last.Chunk), 10)
		}
		text = strconv.AppendInt(append(text, ':'), int64(first.From), 10)
		text = strconv.AppendInt(append(text, '-'), int64(first.To-1), 10)
	}
	return string(text)
}

func readPieces(text string, most int) ([]chunk.Piece, error) {
	var set []chunk.Piece
	for item := range strings.SplitSeq(text, ",") {
		chunks, objects, _ := strings.Cut(item, ":")
		first, last, err := parseRange(chunks, maxID)
		if err != nil {
			return nil, err
		}
		begin, end, err := parseRange(objects, chunk.MaxSize-1)
		switch {
		case err != nil:
			return nil, err
		case !strings.Contains(objects, "-"):
			return nil, fmt.Errorf("%.60q: want the objects as FROM-TO", item)
		case last-first >= uint64(most-len(set)):
			return nil, fmt.Errorf("more than %d pieces", most)
		}
		for id := first; id <= last; id++ {
			next := chunk.Piece{Chunk: chunk.ID(id), From: int(begin), To: int(end) + 1}
			if len(set) > 0 && set[len(set)-1].Compare(next) >= 0 {
				return nil, fmt.Errorf("%.60q: pieces do not ascend", item)
			}
			set = append(set, next)
		}
	}
	return set, nil
}

// countLines returns how many lines b holds; -1 if the last one has no line break.
func countLines(b []byte) int {
	if len(b) > 0 && b[len(b)-1] != '\n' {
		return -1
	}
	return bytes.Count(b, []byte{'\n'})
}
