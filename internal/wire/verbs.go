package wire

import (
	"errors"
	"fmt"
	"strings"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/report"
)

// The verbs of the protocol. The subject of each is chunkline.<job>.<verb>.
const (
	VerbNext    = "next"    // mapper → fetcher: a request for work
	VerbBeat    = "beat"    // mapper → fetcher, published: the heartbeat
	VerbHello   = "hello"   // fetcher → all mappers, published: it serves
	VerbSave    = "save"    // mapper → saver: results
	VerbSaved   = "saved"   // saver → fetcher: these pieces are durable
	VerbSync    = "sync"    // fetcher → saver: claim, list, finish and more
	VerbStatus  = "status"  // operator → fetcher
	VerbControl = "control" // operator → fetcher
)

// VerbMapper is the verb of one mapper instance: fetcher → mapper.
func VerbMapper(id string) string { return "mapper." + id }

const (
	keyStatus    = "Chunkline-Status"
	keyReason    = "Chunkline-Reason"
	keyEpoch     = "Chunkline-Epoch"
	keyMapper    = "Chunkline-Mapper"
	keyName      = "Chunkline-Mapper-Name"
	keyVersion   = "Chunkline-Mapper-Version"
	keyTransform = "Chunkline-Transform"
	keyTerm      = "Chunkline-Term"
	keyChunks    = "Chunkline-Chunks"
	keyShadow    = "Chunkline-Shadow"
	keyFrom      = "Chunkline-From"
	keyLimit     = "Chunkline-Limit"
	keyFetcher   = "Chunkline-Fetcher"
	keySummary   = "Chunkline-Summary"
)

// Limits that several messages share. MaxLabel is exported for names outside messages.
const (
	MaxLabel   = 256     // bytes of a name or version
	maxReason  = 1024    // bytes of a reason
	maxAttempt = 1 << 30 // also of other small counts
	maxHolding = 65536   // pieces that a mapper may hold
)

// mapper is the identity of a mapper.
func (f *fields) mapper(m *report.Mapper) {
	f.token(keyMapper, &m.ID, required)
	f.label(keyName, &m.Name)
	f.label(keyVersion, &m.Version)
	f.label(keyTransform, &m.Transform)
	f.flag("Chunkline-Version-Declared", &m.Declared)
}

// Holding is everything that a mapper holds. It is a complete list each time, not a change, so the fetcher needs only
// the latest one.
type Holding struct {
	Seq    uint64        // grows with every message of this mapper
	Held   []chunk.Piece // every piece it holds, ascending
	Asking []uint64      // Seq of each unanswered Next, ascending
}

func (h *Holding) fields(f *fields) {
	f.uint("Chunkline-Seq", &h.Seq, maxID, required)
	f.pieces("Chunkline-Held", &h.Held, maxHolding, optional)
	ranges(f, "Chunkline-Asking", &h.Asking, maxHolding, optional)
}

// corrupt returns ErrCorrupt for a body that contradicts its headers.
func corrupt(what, format string, args ...any) error {
	return fmt.Errorf("decode %s: %w: %s", what, ErrCorrupt, fmt.Sprintf(format, args...))
}

// checkLines checks that b is n lines, each with its line break.
func checkLines(what, kind string, b []byte, n int) error {
	if got := countLines(b); got != n {
		return corrupt(what, "%d lines of %s, want %d", got, kind, n)
	}
	return nil
}

var errSinkID = errors.New("not the ID of a sink")

// SinkID identifies the sink of the saver that answers. All savers of a sink have the same SinkID.
type SinkID struct {
	ID string // created with the sink; empty: an older saver
	At string // for people: host and folder
}

func (s *SinkID) fields(f *fields) {
	f.field("Chunkline-Sink", optional, s.ID == "", func() string { return s.ID }, func(text string) error {
		if !IsName(text) {
			return errSinkID
		}
		s.ID = text
		return nil
	})
	f.text("Chunkline-Sink-At", &s.At, MaxLabel)
}

// Trace is the place of a piece in its OpenTelemetry trace, as in the headers of W3C Trace Context. It may be empty. It
// is passed on, never interpreted or refused.
type Trace struct{ Parent, State string }

const (
	maxTraceParent = 128 // bytes; version 00 has 55
	maxTraceState  = 512
)

// traceText returns text if it is printable ASCII of at most most bytes, else "".
func traceText(text string, most int) string {
	if len(text) > most || !isPlain(text) || strings.TrimSpace(text) != text {
		return ""
	}
	return text
}
