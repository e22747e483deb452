package sink

import "github.com/chunkline/chunkline/internal/chunk"

// What the tests of the folder need besides the exported things: the seam to
// the disk, the coding of records, and the table.
type (
	FileSystem = fileSystem
	File       = file
	Disk       = disk
)

var OpenFolderOn = openFolder

// BufferSize is exported so that tests can go past it.
const BufferSize = bufferSize

// Encode gives the frame of a record, as the only one of a commit.
func (r *Record) Encode() []byte {
	fr := frame{kind: chunkKind, record: *r, outputs: make([]byte, r.Outputs.Length), dead: make([]byte, r.Dead.Length)}
	b, _, err := fr.append(nil, 1, true, 0)
	if err != nil {
		panic(err)
	}
	return b
}

// DecodeRecord reads what Encode gave, from part 3 at byte 40; false: it is no frame.
func DecodeRecord(b []byte) (Record, bool) {
	if len(b) < prefixSize {
		return Record{}, false
	}
	h, ok := decodeHead(b)
	if !ok || h.kind != chunkKind || len(b) != prefixSize+h.header || frameSum(b[:prefixSize], b[prefixSize:]) != h.sum {
		return Record{}, false
	}
	fr, err := h.decode(b[prefixSize:], 3, 40)
	return fr.record, err == nil
}

// A Table is the table of chunks, with numbers for spots; 0: not there.
type Table struct{ t *table }

func NewTable() Table                     { return Table{newTable()} }
func (t Table) Set(id chunk.ID, n uint64) { t.t.set(id, spot{at: position(n)}) }
func (t Table) Remove(id chunk.ID)        { t.t.remove(id) }
func (t Table) Get(id chunk.ID) uint64    { s, _ := t.t.get(id); return uint64(s.at) }
func (t Table) From(id chunk.ID, show func(chunk.ID, uint64) bool) {
	t.t.from(id, func(id chunk.ID, s spot) bool { return show(id, uint64(s.at)) })
}
func (t Table) Below(id chunk.ID, show func(chunk.ID, uint64) bool) {
	t.t.below(id, func(id chunk.ID, s spot) bool { return show(id, uint64(s.at)) })
}

// FillIndex makes the index of an open folder tell of n more chunks, which the log does not have.
func (f *Folder) FillIndex(n int) error {
	for id := range n {
		where := int64(id) * 15_000
		f.index.note(chunk.ID(id), spot{at: at(int(where/DefaultPartBytes), where%DefaultPartBytes, 100), digest: chunk.Digest{byte(id)}})
		if f.index.due(f.log) || id == n-1 {
			if err := f.index.append(f.log, f.state.Load()); err != nil {
				return err
			}
		}
	}
	return nil
}
