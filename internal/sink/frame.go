package sink

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/chunkline/chunkline/internal/chunk"
)

// A frame is one record of the log. On disk it is a prefix, a header and a body; numbers are little endian:
//
//	 0  magic, 4 bytes
//	 4  kind, 1 byte
//	 5  1 in the last frame of a commit, else 0; then 2 bytes that are 0
//	 8  number of the commit, 8 bytes, from 1
//	16  length of the header, 4 bytes
//	20  length of the body, 8 bytes
//	28  checksum of the frame before, 4 bytes; 0 in the first frame of the log
//	32  checksum of bytes 0 to 31 and the header, 4 bytes
//	36  header, then body
//
// Only a chunk's frame has a body, and its header contains the body's checksums. So each frame's checksum covers
// everything before it in the log: a commit cannot mix parts of two attempts to write it.
type frame struct {
	kind kind
	head head  // as read
	part int   // part that holds the frame
	at   int64 // offset in the part

	// One of these is set, by kind.
	claims  *Claims
	record  Record
	removed removal
	merged  *merged

	outputs, dead []byte // bodies of the record, to be written
}

type kind byte

const (
	claimsKind  kind = 1 + iota // the owner of the log; JSON
	chunkKind                   // the result of a piece of a chunk, may replace an older one
	removedKind                 // pieces that were removed
	mergedKind                  // which files Finish wrote, and where they are; JSON
)

// head is a frame's prefix.
type head struct {
	kind   kind
	last   bool // last frame of its commit
	commit uint64
	header int
	body   int64
	before uint32
	sum    uint32
}

const (
	prefixSize = 36
	frameMagic = "\xc1kl\n" // no JSON Lines file contains its first byte
	// maxHeader bounds what a damaged length can make a reader allocate. The longest header is that of a chunk with
	// maxObjects objects whose counts all differ from their neighbours'.
	maxHeader = 64 << 20
)

// castagnoli is CRC32C, for which amd64 and arm64 have instructions.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// position returns the frame's position for the table.
func (fr *frame) position() Position {
	p := at(fr.part, fr.at)
	if fr.record.Dead.Length > 0 {
		p |= deadBit
	}
	return p
}

// size returns the length of the frame in the log.
func (h head) size() int64 { return prefixSize + int64(h.header) + h.body }

// append appends prefix and header to b and returns the frame's checksum.
func (fr *frame) append(b []byte, commit uint64, last bool, before uint32) ([]byte, uint32, error) {
	from := len(b)
	b = append(b, frameMagic...)
	b = append(b, byte(fr.kind), 0, 0, 0)
	if last {
		b[from+5] = 1
	}
	b = binary.LittleEndian.AppendUint64(b, commit)
	b = append(b, make([]byte, 20)...)
	b, err := fr.appendHeader(b)
	if err != nil {
		return b, 0, err
	}
	prefix, header := b[from:from+prefixSize], b[from+prefixSize:]
	if len(header) > maxHeader {
		return b, 0, fmt.Errorf("record of %d bytes: %w", len(header), ErrInvalid)
	}
	binary.LittleEndian.PutUint32(prefix[16:], uint32(len(header)))
	binary.LittleEndian.PutUint64(prefix[20:], uint64(len(fr.outputs)+len(fr.dead)))
	binary.LittleEndian.PutUint32(prefix[28:], before)
	sum := frameSum(prefix, header)
	binary.LittleEndian.PutUint32(prefix[32:], sum)
	return b, sum, nil
}

func (fr *frame) appendHeader(b []byte) ([]byte, error) {
	switch fr.kind {
	case chunkKind:
		return fr.record.append(b), nil
	case removedKind:
		return fr.removed.append(b), nil
	case claimsKind:
		return appendJSON(b, fr.claims)
	default:
		return appendJSON(b, fr.merged)
	}
}

func appendJSON(b []byte, value any) ([]byte, error) {
	text, err := json.Marshal(value)
	if err != nil {
		return b, fmt.Errorf("encode record: %w", err)
	}
	return append(b, text...), nil
}

func frameSum(prefix, header []byte) uint32 {
	return crc32.Update(checksum(prefix[:32]), castagnoli, header)
}

// decodeHead reads a prefix; ok is false if b is not a prefix.
func decodeHead(b []byte) (h head, ok bool) {
	if string(b[:4]) != frameMagic || b[5] > 1 || b[6]|b[7] != 0 {
		return h, false
	}
	h = head{
		kind: kind(b[4]), last: b[5] == 1, commit: binary.LittleEndian.Uint64(b[8:]),
		header: int(binary.LittleEndian.Uint32(b[16:])), body: int64(binary.LittleEndian.Uint64(b[20:])),
		before: binary.LittleEndian.Uint32(b[28:]), sum: binary.LittleEndian.Uint32(b[32:]),
	}
	return h, h.header <= maxHeader && h.body >= 0
}

// errHeader means that the checksum is right but the content is not. Disks do not cause such damage.
var errHeader = errors.New("record contradicts itself")

// decode reads a header whose checksum is right; the frame begins at part and offset.
func (h head) decode(header []byte, part int, offset int64) (frame, error) {
	fr := frame{kind: h.kind, head: h, part: part, at: offset}
	var err error
	switch h.kind {
	case claimsKind:
		fr.claims = &Claims{}
		if err = json.Unmarshal(header, fr.claims); err == nil && fr.claims.Format != formatVersion {
			return fr, fmt.Errorf("%w: %d, not %d", ErrFormat, fr.claims.Format, formatVersion)
		}
	case chunkKind:
		fr.record, err = decodeRecord(header)
		fr.record.place(part, offset+prefixSize+int64(h.header))
		if err == nil && fr.record.Outputs.Length+fr.record.Dead.Length != h.body {
			err = errHeader
		}
	case removedKind:
		fr.removed, err = decodeRemoval(header)
	case mergedKind:
		fr.merged = &merged{}
		err = json.Unmarshal(header, fr.merged)
	default:
		return fr, fmt.Errorf("%w: record of kind %d", ErrFormat, h.kind)
	}
	return fr, err
}

// A removal lists pieces to remove.
type removal struct {
	pieces []removed // by ascending chunk, then from
	totals Totals    // sums over the removed pieces, without Chunks
}

// removed names the piece of a chunk that begins at an index.
type removed struct {
	chunk chunk.ID
	from  int
}

// maxRemoved is how many pieces one frame removes; larger removals take several frames.
const maxRemoved = 1 << 16

func (r *removal) append(b []byte) []byte {
	t := &r.totals
	for _, n := range []uint64{t.Objects, t.Outputs, t.Dead, t.OutputBytes, t.DeadBytes} {
		b = binary.AppendUvarint(b, n)
	}
	var before chunk.ID
	for _, p := range r.pieces {
		b = binary.AppendUvarint(b, uint64(p.chunk-before))
		b = binary.AppendUvarint(b, uint64(p.from))
		before = p.chunk
	}
	return b
}

func decodeRemoval(b []byte) (removal, error) {
	var r removal
	d := decoder{b: b}
	t := &r.totals
	for _, n := range []*uint64{&t.Objects, &t.Outputs, &t.Dead, &t.OutputBytes, &t.DeadBytes} {
		*n = d.uint()
	}
	var id chunk.ID
	for len(d.b) > 0 && !d.bad {
		id += chunk.ID(d.uint())
		r.pieces = append(r.pieces, removed{id, d.index()})
	}
	if d.bad {
		return removal{}, errHeader
	}
	return r, nil
}
