package objectsink

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"

	"github.com/klauspost/compress/zstd"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/sink"
)

// formatVersion is the version of the log's format. Sinks of other versions are not touched.
const formatVersion = 1

// An entry is one commit of the log. It is an object with a head, records and bodies:
//
//	 0  "chunkline entry\n"
//	16  length of the records, 8 bytes, little endian as all numbers
//	24  length of the bodies, 8 bytes
//	32  checksum of the records, 4 bytes: CRC32C, as all checksums
//	36  checksum of the bodies, 4 bytes
//	40  checksum of bytes 0 to 39, 4 bytes
//	44  records: JSON of the entry, compressed with zstd
//	    bodies: outputs and dead letters of each piece, in order, compressed with zstd
type entry struct {
	Format int    `json:"format"`
	Sink   string `json:"sink"` // ID
	Number uint64 `json:"number"`
	Nonce  string `json:"nonce"` // random: no two entries are equal

	// Changes, in the order in which they are applied.
	Claims     *sink.Claims `json:"claims,omitempty"` // nil: as before
	Gone       *removal     `json:"gone,omitempty"`
	Pieces     []piece      `json:"pieces,omitempty"`
	Generation *generation  `json:"generation,omitempty"`
}

// A removal lists pieces that were removed or, with Pieces of the same places, replaced.
type removal struct {
	Pieces []place     `json:"pieces"`
	Totals sink.Totals `json:"totals"` // sums over the removed pieces, without Chunks
}

// A place names the piece of a chunk that begins at an index.
type place struct {
	Chunk chunk.ID `json:"chunk"`
	From  int      `json:"from"`
}

// A piece is a sink.Record. Its bodies follow those of the piece before.
type piece struct {
	Chunk       chunk.ID `json:"chunk"`
	From        int      `json:"from"`
	Of          int      `json:"of"`
	First       uint64   `json:"first"`
	Objects     int      `json:"objects"`
	Digest      []byte   `json:"digest"`
	Counts      []int    `json:"counts,omitempty"` // nil: one output of each object
	OutputBytes int64    `json:"output_bytes"`
	OutputSum   uint32   `json:"output_sum"` // CRC32C
	DeadCount   int      `json:"dead"`
	DeadBytes   int64    `json:"dead_bytes"`
	DeadSum     uint32   `json:"dead_sum"`
	Attempt     int      `json:"attempt"`
	Mapper      string   `json:"mapper"`
	Version     string   `json:"version"`
}

func pieceOf(r *sink.Record) piece {
	p := piece{
		Chunk: r.Chunk, From: r.From, Of: r.Of, First: r.First, Objects: r.Objects, Digest: r.Digest[:],
		OutputBytes: r.Outputs.Length, OutputSum: r.Outputs.Sum, DeadCount: r.DeadCount, DeadBytes: r.Dead.Length, DeadSum: r.Dead.Sum,
		Attempt: r.Attempt, Mapper: r.Mapper, Version: r.Version,
	}
	if slices.ContainsFunc(r.Counts, func(n int) bool { return n != 1 }) {
		p.Counts = r.Counts
	}
	return p
}

// record returns the piece as a record whose bodies begin at an offset of the entry's bodies.
func (p *piece) record(number uint64, offset int64) sink.Record {
	r := sink.Record{
		Chunk: p.Chunk, From: p.From, Of: p.Of, First: p.First, Objects: p.Objects, Digest: chunk.Digest(p.Digest), Counts: p.Counts,
		DeadCount: p.DeadCount, Attempt: p.Attempt, Mapper: p.Mapper, Version: p.Version,
	}
	if r.Counts == nil {
		r.Counts = slices.Repeat([]int{1}, p.Objects)
	}
	if p.OutputBytes > 0 {
		r.Outputs = sink.Range{Part: int(number), Offset: offset, Length: p.OutputBytes, Sum: p.OutputSum}
	}
	if p.DeadBytes > 0 {
		r.Dead = sink.Range{Part: int(number), Offset: offset + p.OutputBytes, Length: p.DeadBytes, Sum: p.DeadSum}
	}
	return r
}

// records returns the pieces as records.
func (e *entry) records() []sink.Record {
	records := make([]sink.Record, len(e.Pieces))
	offset := int64(0)
	for i := range e.Pieces {
		p := &e.Pieces[i]
		records[i] = p.record(e.Number, offset)
		offset += p.OutputBytes + p.DeadBytes
	}
	return records
}

const (
	entryMagic = "chunkline entry\n"
	headSize   = 44
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// Both are stateless in the way they are used here. The window bounds the encoder's memory.
var (
	zipper, _   = zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20), zstd.WithLowerEncoderMem(true))
	unzipper, _ = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
)

// encode returns the object of an entry with the bodies of its pieces.
func (e *entry) encode(bodies []byte) ([]byte, error) {
	text, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("encode entry: %w", err)
	}
	b := make([]byte, headSize, headSize+len(text)/4+len(bodies)/4)
	b = zipper.EncodeAll(text, b)
	records := len(b) - headSize
	if len(bodies) > 0 {
		b = zipper.EncodeAll(bodies, b)
	}
	copy(b, entryMagic)
	binary.LittleEndian.PutUint64(b[16:], uint64(records))
	binary.LittleEndian.PutUint64(b[24:], uint64(len(b)-headSize-records))
	binary.LittleEndian.PutUint32(b[32:], checksum(b[headSize:headSize+records]))
	binary.LittleEndian.PutUint32(b[36:], checksum(b[headSize+records:]))
	binary.LittleEndian.PutUint32(b[40:], checksum(b[:40]))
	return b, nil
}

// head is the head of an entry.
type head struct {
	records, bodies       int64 // bytes
	recordsSum, bodiesSum uint32
}

// size returns the length of the object.
func (h head) size() int64 { return headSize + h.records + h.bodies }

// The reasons why an entry cannot be read.
var (
	errHead   = errors.New("it does not begin as an entry of the log")
	errShort  = errors.New("it ends too early")
	errSum    = errors.New("it does not have the checksum it was written with")
	errRecord = errors.New("its records contradict themselves, or belong to another entry")
)

// maxEntry bounds what a damaged length can make a reader allocate.
const maxEntry = 8 << 30

func decodeHead(b []byte) (head, error) {
	if len(b) < headSize {
		return head{}, errShort
	}
	if string(b[:len(entryMagic)]) != entryMagic || checksum(b[:40]) != binary.LittleEndian.Uint32(b[40:]) {
		return head{}, errHead
	}
	h := head{
		records: int64(binary.LittleEndian.Uint64(b[16:])), bodies: int64(binary.LittleEndian.Uint64(b[24:])),
		recordsSum: binary.LittleEndian.Uint32(b[32:]), bodiesSum: binary.LittleEndian.Uint32(b[36:]),
	}
	if h.records < 0 || h.records > maxEntry || h.bodies < 0 || h.bodies > maxEntry {
		return head{}, errHead
	}
	return h, nil
}

// decode decodes the records of an entry that must have this number.
func (h head) decode(b []byte, number uint64) (*entry, error) {
	if int64(len(b)) < h.records {
		return nil, errShort
	}
	if checksum(b) != h.recordsSum {
		return nil, errSum
	}
	text, err := unzipper.DecodeAll(b, nil)
	if err != nil {
		return nil, errSum
	}
	e := &entry{}
	if err := json.Unmarshal(text, e); err != nil {
		return nil, errRecord
	}
	if e.Format != formatVersion {
		return nil, fmt.Errorf("%w: %d, not %d", sink.ErrFormat, e.Format, formatVersion)
	}
	for i := range e.Pieces {
		p := &e.Pieces[i]
		if len(p.Digest) != len(chunk.Digest{}) || p.Objects < 1 || p.Counts != nil && len(p.Counts) != p.Objects || p.OutputBytes < 0 || p.DeadBytes < 0 {
			return nil, errRecord
		}
	}
	if e.Number != number {
		return nil, errRecord
	}
	return e, nil
}

// decodeBodies decompresses the bodies of an entry.
func (h head) decodeBodies(b []byte) ([]byte, error) {
	if int64(len(b)) < h.bodies {
		return nil, errShort
	}
	if checksum(b) != h.bodiesSum {
		return nil, errSum
	}
	if h.bodies == 0 {
		return nil, nil
	}
	bodies, err := unzipper.DecodeAll(b, nil)
	if err != nil {
		return nil, errSum
	}
	return bodies, nil
}
