package bus

import (
	"fmt"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/report"
)

// The verbs of the protocol. Each is served at chunkline.<job>.<verb>.
const (
	VerbNext    = "next"    // mapper → fetcher: a chunk, please
	VerbBeat    = "beat"    // mapper → fetcher, published: I live, and hold these
	VerbSave    = "save"    // mapper → saver: the result of a chunk
	VerbSaved   = "saved"   // saver → fetcher: these chunks are durable
	VerbSync    = "sync"    // fetcher → saver: claim, list, finish
	VerbStatus  = "status"  // operator → fetcher
	VerbControl = "control" // operator → fetcher
)

// VerbMapper is the verb of one mapper instance: fetcher → mapper.
func VerbMapper(id string) string { return "mapper." + id }

const (
	keyStatus    = "Chunkline-Status"
	keyReason    = "Chunkline-Reason"
	keyEpoch     = "Chunkline-Epoch"
	keyChunk     = "Chunkline-Chunk"
	keyFirst     = "Chunkline-First"
	keyObjects   = "Chunkline-Objects"
	keyDigest    = "Chunkline-Digest"
	keyAttempt   = "Chunkline-Attempt"
	keyToken     = "Chunkline-Token"
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

const (
	maxLabel   = 256     // bytes of a name or version
	maxReason  = 1024    // bytes of why something was refused
	maxAttempt = 1 << 30 // also of other small counts
	maxHolding = 65536   // chunks a mapper may say it holds
)

// mapper is who a mapper is.
func (f *fields) mapper(m *report.Mapper) {
	f.token(keyMapper, &m.ID, required)
	f.text(keyName, &m.Name, maxLabel)
	f.text(keyVersion, &m.Version, maxLabel)
	f.text(keyTransform, &m.Transform, maxLabel)
	f.flag("Chunkline-Version-Declared", &m.Declared)
}

// Holding is all that a mapper holds. It is a list, not a delta: whoever hears
// the latest one knows everything.
type Holding struct {
	Seq    uint64     // grows with every message of this mapper
	Held   []chunk.ID // every chunk it holds, ascending
	Asking []uint64   // Seq of each next that still waits for an answer, ascending
}

func (h *Holding) fields(f *fields) {
	f.uint("Chunkline-Seq", &h.Seq, maxID, required)
	ranges(f, "Chunkline-Held", &h.Held, maxHolding, optional)
	ranges(f, "Chunkline-Asking", &h.Asking, maxHolding, optional)
}

// cut describes which objects of the source a chunk is.
func (f *fields) cut(id *chunk.ID, first *uint64, objects *int, digest *chunk.Digest) {
	f.id(keyChunk, id, required)
	f.uint(keyFirst, first, maxID, required)
	f.int(keyObjects, objects, chunk.MaxSize, required)
	f.digest(keyDigest, digest)
	if !f.write && f.err == nil && *objects == 0 {
		f.fail(keyObjects, "a chunk has at least one")
	}
}

// corrupt says that a body does not hold what its headers say.
func corrupt(what, format string, args ...any) error {
	return fmt.Errorf("decode %s: %w: %s", what, ErrCorrupt, fmt.Sprintf(format, args...))
}

// checkLines says whether b holds n lines, each with its line break.
func checkLines(what, kind string, b []byte, n int) error {
	if got := countLines(b); got != n {
		return corrupt(what, "%d lines of %s, want %d", got, kind, n)
	}
	return nil
}
