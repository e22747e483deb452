package sink

import (
	"encoding/binary"
	"errors"
	"hash/crc32"

	"github.com/chunkline/chunkline/internal/chunk"
)

// castagnoli is CRC32C, which both amd64 and arm64 have instructions for.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// A Range is where bytes lie in the parts of a series.
type Range struct {
	Part   int
	Offset int64
	Length int64  // 0: nothing is there, the other fields are 0
	Sum    uint32 // CRC32C of the bytes
}

// A Record is what the index keeps of a committed chunk.
type Record struct {
	Chunk   chunk.ID
	First   uint64
	Objects int
	Digest  chunk.Digest
	Counts  []int // outputs of each object

	Outputs   Range // in the results
	Dead      Range // in the dead letters
	DeadCount int

	Attempt int
	Mapper  string
	Version string
}

// OutputCount is the number of output lines.
func (r *Record) OutputCount() uint64 {
	var n uint64
	for _, c := range r.Counts {
		n += uint64(c)
	}
	return n
}

func recordOf(r *Result) Record {
	return Record{
		Chunk: r.Chunk, First: r.First, Objects: r.Objects, Digest: r.Digest, Counts: r.Counts,
		DeadCount: r.DeadCount, Attempt: r.Attempt, Mapper: r.Mapper, Version: r.Version,
	}
}

// sameObjects says whether a result was made from the objects of the record.
func (r *Record) sameObjects(o *Result) bool {
	return r.Digest == o.Digest && r.First == o.First && r.Objects == o.Objects
}

// chunkKey orders the index by ID.
func chunkKey(id chunk.ID) []byte { return binary.BigEndian.AppendUint64(nil, uint64(id)) }

const recordFormat = 1

// encode gives the index value of a record:
//
//	format byte, digest, first, objects, attempt,
//	range of outputs, dead count, range of dead letters, mapper, version,
//	counts, CRC32C of the key and all of the above
//
// Numbers are uvarints, checksums 4 bytes little endian. A range is its length
// and, if that is not 0, part, offset and checksum. The counts are run-length
// coded: the number of runs, then count and length of each; no runs at all
// stand for one output of every object.
func (r *Record) encode() []byte {
	b := make([]byte, 0, 96+len(r.Mapper)+len(r.Version))
	b = append(b, recordFormat)
	b = append(b, r.Digest[:]...)
	b = binary.AppendUvarint(b, r.First)
	b = binary.AppendUvarint(b, uint64(r.Objects))
	b = binary.AppendUvarint(b, uint64(r.Attempt))
	b = appendRange(b, r.Outputs)
	b = binary.AppendUvarint(b, uint64(r.DeadCount))
	b = appendRange(b, r.Dead)
	b = appendText(b, r.Mapper)
	b = appendText(b, r.Version)
	b = appendCounts(b, r.Counts)
	return appendSum(b, chunkKey(r.Chunk))
}

var errRecord = errors.New("index entry does not have the checksum it was written with")

// decodeRecord reads what encode wrote. The record shares no memory with
// value, which bbolt takes back.
func decodeRecord(key, value []byte) (Record, error) {
	var r Record
	body, ok := cutSum(key, value)
	if !ok || len(key) != 8 {
		return r, errRecord
	}
	d := decoder{b: body}
	format := d.bytes(1)
	if d.bad || format[0] != recordFormat {
		return r, errors.New("index entry has an unknown format")
	}
	r.Chunk = chunk.ID(binary.BigEndian.Uint64(key))
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
	if d.bad || len(d.b) > 0 {
		return Record{}, errors.New("index entry contradicts itself")
	}
	return r, nil
}

// appendSum closes an index value with the checksum of its key and itself:
// bbolt has none for its pages. cutSum checks it and takes it off.
func appendSum(value, key []byte) []byte {
	sum := crc32.Update(checksum(key), castagnoli, value)
	return binary.LittleEndian.AppendUint32(value, sum)
}

func cutSum(key, value []byte) ([]byte, bool) {
	n := len(value) - 4
	if n < 0 {
		return nil, false
	}
	sum := crc32.Update(checksum(key), castagnoli, value[:n])
	return value[:n], sum == binary.LittleEndian.Uint32(value[n:])
}

func appendRange(b []byte, r Range) []byte {
	b = binary.AppendUvarint(b, uint64(r.Length))
	if r.Length == 0 {
		return b
	}
	b = binary.AppendUvarint(b, uint64(r.Part))
	b = binary.AppendUvarint(b, uint64(r.Offset))
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

// decoder takes fields off b. After the first that does not fit, bad is set
// and every field is zero.
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

func (d *decoder) rng() Range {
	length := int64(d.uint())
	if length == 0 {
		return Range{}
	}
	r := Range{Length: length, Part: int(d.uint()), Offset: int64(d.uint())}
	r.Sum = binary.LittleEndian.Uint32(d.bytes(4))
	return r
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
	counts := make([]int, 0, objects)
	if runs == 0 {
		for range objects {
			counts = append(counts, 1)
		}
		return counts
	}
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

// maxObjects bounds what a value can make decode allocate. A chunk of the
// largest plan has far fewer (chunk.MaxSize).
const maxObjects = 1 << 24
