package verify

import (
	"bytes"
	"context"
	"iter"

	"github.com/chunkline/chunkline/internal/sink"
)

// A partsSink has its ordered outputs and dead letters in several parts.
type partsSink interface {
	// Parts yields them in order. A part that cannot be read, or is not as it was written, is an error, after which the
	// next part may follow.
	Parts(ctx context.Context, dead bool) iter.Seq2[sink.Part, error]
}

// partsFile is the parts of a sink, one after the other.
type partsFile struct {
	place string // of all of them
	next  func() (sink.Part, error, bool)
	stop  func()

	open file   // the part that is compared
	left uint64 // lines of it that were not compared yet
	over bool   // there was no part for a line
}

// openParts opens the parts of a sink that are at a place.
func openParts(ctx context.Context, of partsSink, place string, dead bool) file {
	if place == "" {
		return noFile{}
	}
	next, stop := iter.Pull2(of.Parts(ctx, dead))
	return &partsFile{place: place, next: next, stop: stop, open: noFile{}}
}

func (p *partsFile) close() {
	p.open.close()
	p.stop()
}

func (p *partsFile) expect(r *Report, lines []byte) {
	if n := uint64(bytes.Count(lines, []byte{'\n'})); p.advance(r, n) {
		p.open.expect(r, lines)
	}
}

func (p *partsFile) skip(r *Report, length int64, lines uint64) {
	if p.advance(r, lines) {
		p.open.skip(r, length, lines)
	}
}

// advance opens the part with the next n lines, which are those of one piece, and reports whether there is one.
func (p *partsFile) advance(r *Report, n uint64) bool {
	if n == 0 || p.over {
		return false
	}
	if p.left == 0 {
		p.open.end(r)
		p.open.close()
		p.open = noFile{}
		part, err, more := p.next()
		switch {
		case !more:
			p.over = true
			r.problem("%s: the parts end before the last chunk does", p.place)
			return false
		case err != nil:
			r.problem("%v", err)
		default:
			p.open = openContent(r, part.Location, partContent{bytes.NewReader(part.Content)}, int64(len(part.Content)))
		}
		p.left = part.Lines
	}
	p.left -= min(n, p.left)
	return true
}

func (p *partsFile) end(r *Report) {
	p.open.end(r)
	if p.over {
		return
	}
	switch part, err, more := p.next(); {
	case err != nil:
		r.problem("%v", err)
	case more:
		r.problem("%s: it follows the part with the last chunk", part.Location)
	}
}

// partContent is the content of a part, in memory.
type partContent struct{ *bytes.Reader }

func (partContent) Close() error { return nil }
