package sink

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/chunkline/chunkline/internal/chunk"
)

// A Range is the location of bytes in the log.
type Range struct {
	Part   int
	Offset int64
	Length int64  // 0: no bytes, and the other fields are 0
	Sum    uint32 // CRC32C of the bytes
}

// Matches reports whether b are the bytes.
func (r Range) Matches(b []byte) bool { return int64(len(b)) == r.Length && checksum(b) == r.Sum }

// A Record describes a committed piece of a chunk, and locates its bodies. Its fields are those of Result.
type Record struct {
	Chunk   chunk.ID
	From    int
	Of      int
	First   uint64
	Objects int
	Digest  chunk.Digest
	Counts  []int // outputs of each object

	Outputs   Range
	Dead      Range
	DeadCount int

	Attempt int
	Mapper  string
	Version string
}

// OutputCount returns the number of output lines.
func (r *Record) OutputCount() uint64 {
	var n uint64
	for _, c := range r.Counts {
		n += uint64(c)
	}
	return n
}

// EachOutput calls do with each of the record's output lines, without its line feed. It adds the object to an error of
// do.
func (r *Record) EachOutput(lines []byte, do func(line []byte) error) error {
	var line []byte
	for i, n := range r.Counts {
		for range n {
			line, lines, _ = bytes.Cut(lines, []byte{'\n'})
			if err := do(line); err != nil {
				return fmt.Errorf("object %d: %w", r.First+uint64(i), err)
			}
		}
	}
	return nil
}

// RecordOf returns the record of a result. Its bodies have no location yet.
func RecordOf(r *Result) Record {
	return Record{
		Chunk: r.Chunk, From: r.From, Of: r.Of, First: r.First, Objects: r.Objects, Digest: r.Digest, Counts: r.Counts,
		Outputs:   Range{Length: int64(len(r.Outputs)), Sum: checksum(r.Outputs)},
		Dead:      Range{Length: int64(len(r.Dead)), Sum: checksum(r.Dead)},
		DeadCount: r.DeadCount, Attempt: r.Attempt, Mapper: r.Mapper, Version: r.Version,
	}
}

// Result returns the record as a result without outputs and dead letters.
func (r *Record) Result() Result {
	return Result{
		Chunk: r.Chunk, From: r.From, Of: r.Of, First: r.First, Objects: r.Objects, Digest: r.Digest, Counts: r.Counts,
		DeadCount: r.DeadCount, Attempt: r.Attempt, Mapper: r.Mapper, Version: r.Version,
	}
}

// Entry names the piece.
func (r *Record) Entry() Entry {
	return Entry{ID: r.Chunk, From: r.From, Objects: r.Objects, Of: r.Of, Digest: r.Digest}
}

// place sets the location of the bodies, which begin at offset.
func (r *Record) place(part int, offset int64) {
	for _, to := range []*Range{&r.Outputs, &r.Dead} {
		if to.Length > 0 {
			to.Part, to.Offset = part, offset
			offset += to.Length
		}
	}
}

// append appends the header of the frame of a piece:
//
//	chunk, from, of, digest, first, objects, attempt,
//	outputs, dead count, dead letters, mapper, version, counts
//
// Numbers are uvarints, checksums 4 bytes little endian. Outputs and dead letters are the length, and the checksum if
// the length is not 0. The counts are run-length coded: the number of runs, then count and length of each; no runs at
// all stand for one output of every object.
func (r *Record) append(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(r.Chunk))
	b = binary.AppendUvarint(b, uint64(r.From))
	b = binary.AppendUvarint(b, uint64(r.Of))
	b = append(b, r.Digest[:]...)
	b = binary.AppendUvarint(b, r.First)
	b = binary.AppendUvarint(b, uint64(r.Objects))
	b = binary.AppendUvarint(b, uint64(r.Attempt))
	b = appendRange(b, r.Outputs)
	b = binary.AppendUvarint(b, uint64(r.DeadCount))
	b = appendRange(b, r.Dead)
	b = appendText(b, r.Mapper)
	b = appendText(b, r.Version)
	return appendCounts(b, r.Counts)
}

// decodeRecord decodes the output of append. The record shares no memory with b.
func decodeRecord(b []byte) (Record, error) {
	var r Record
	d := decoder{b: b}
	r.Chunk = chunk.ID(d.uint())
	r.From = d.index()
	r.Of = d.index()
	copy(r.Digest[:], d.bytes(len(r.Digest)))
	r.First = d.uint()
	r.Objects = int(d.uint())
	r.Attempt = int(d.uint())
	r.Outputs = d.rng()
	r.DeadCount = int(d.uint())
	r.Dead = d.rng()
	r.Mapper = d.text()
	r.Version = d.text()
	r.Counts = d.counts(r.Objects)
	if d.bad || len(d.b) > 0 || r.From > r.Of-r.Objects || r.First < uint64(r.From) || r.Outputs.Length < 0 || r.Dead.Length < 0 {
		return Record{}, errHeader
	}
	return r, nil
}

func appendRange(b []byte, r Range) []byte {
	b = binary.AppendUvarint(b, uint64(r.Length))
	if r.Length == 0 {
		return b
	}
	return binary.LittleEndian.AppendUint32(b, r.Sum)
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendCounts(b []byte, counts []int) []byte {
	runs := 0
	for i, n := range counts {
		if i == 0 || n != counts[i-1] {
			runs++
		}
	}
	if runs == 1 && counts[0] == 1 {
		return binary.AppendUvarint(b, 0)
	}
	b = binary.AppendUvarint(b, uint64(runs))
	for i := 0; i < len(counts); {
		j := i
		for j < len(counts) && counts[j] == counts[i] {
			j++
		}
		b = binary.AppendUvarint(b, uint64(counts[i]))
		b = binary.AppendUvarint(b, uint64(j-i))
		i = j
	}
	return b
}

// decoder reads fields from b. After the first invalid field, bad is set and every field is zero.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) bytes(n int) []byte {
	if d.bad || n < 0 || n > len(d.b) {
		d.bad = true
		return make([]byte, min(max(n, 0), 16))
	}
	out := d.b[:n]
	d.b = d.b[n:]
	return out
}

// uint reads a number that fits an int64, or an ordinal.
func (d *decoder) uint() uint64 {
	v, n := binary.Uvarint(d.b)
	if d.bad || n <= 0 {
		d.bad = true
		return 0
	}
	d.b = d.b[n:]
	return v
}

// index reads the index of an object within its chunk, or the number of the chunk's objects.
func (d *decoder) index() int {
	n := d.uint()
	d.bad = d.bad || n > maxObjects
	return int(n)
}

func (d *decoder) rng() Range {
	length := int64(d.uint())
	if length == 0 {
		return Range{}
	}
	return Range{Length: length, Sum: binary.LittleEndian.Uint32(d.bytes(4))}
}

func (d *decoder) text() string {
	n := d.uint()
	if n > uint64(len(d.b)) {
		d.bad = true
		return ""
	}
	return string(d.bytes(int(n)))
}

func (d *decoder) counts(objects int) []int {
	runs := d.uint()
	if d.bad || objects < 1 || objects > maxObjects || runs > uint64(objects) {
		d.bad = true
		return nil
	}
	if runs == 0 {
		return slices.Repeat([]int{1}, objects)
	}
	counts := make([]int, 0, objects)
	for range runs {
		n, length := int(d.uint()), d.uint()
		if d.bad || length > uint64(objects-len(counts)) {
			d.bad = true
			return nil
		}
		for range length {
			counts = append(counts, n)
		}
	}
	d.bad = d.bad || len(counts) != objects
	return counts
}

// maxObjects bounds what a value can make decode allocate. Chunks of the largest plan have far fewer objects
// (chunk.MaxSize).
const maxObjects = 1 << 24
