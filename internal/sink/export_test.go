package sink

import (
	"iter"
	"math"

	"github.com/chunkline/chunkline/internal/chunk"
)

// Internals for the tests of the folder: the file system interface, the coding of records, and the table.
type (
	FileSystem = fileSystem
	File       = file
	Disk       = disk
)

var OpenFolderOn = openFolder

// BufferSize is exported so that tests can exceed it.
const BufferSize = bufferSize

// Encode returns the frame of a record, as the only one of a commit.
func (r *Record) Encode() []byte {
	fr := frame{kind: chunkKind, record: *r, outputs: make([]byte, r.Outputs.Length), dead: make([]byte, r.Dead.Length)}
	b, _, err := fr.append(nil, 1, true, 0)
	if err != nil {
		panic(err)
	}
	return b
}

// DecodeRecord decodes the output of Encode, as if from part 3 at byte 40; false: it is not a frame.
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

// A Placed is a piece in the table, with its position as a number.
type Placed struct {
	Entry

	At uint64
}

// A Table is the table of pieces.
type Table struct{ t *table }

func NewTable() Table                       { return Table{newTable()} }
func (t Table) Set(p Placed)                { t.t.set(placed{p.Entry, position(p.At)}) }
func (t Table) Remove(id chunk.ID, n int)   { t.t.remove(id, n) }
func (t Table) Complete(id chunk.ID) bool   { return t.t.complete(id) }
func (t Table) InCuts() int                 { return len(t.t.cuts) }
func (t Table) Pieces(id chunk.ID) []Placed { return collect(t.t.pieces(id), math.MaxInt) }
func (t Table) From(id chunk.ID, limit int) []Placed {
	return collect(t.t.from(id), limit)
}

func (t Table) Below(id chunk.ID, limit int) []Placed {
	return collect(t.t.below(id), limit)
}

func collect(pieces iter.Seq[placed], limit int) (all []Placed) {
	for p := range pieces {
		if all = append(all, Placed{p.Entry, uint64(p.at)}); len(all) == limit {
			break
		}
	}
	return all
}

// FillIndex adds n more chunks, which the log does not have, to the index of an open folder.
func (f *Folder) FillIndex(n int) error {
	for id := range n {
		where := int64(id) * 15_000
		f.index.note(placed{Entry{chunk.ID(id), 0, 100, 100, chunk.Digest{byte(id)}}, at(int(where/DefaultPartBytes), where%DefaultPartBytes)})
		if f.index.due(f.log) || id == n-1 {
			if err := f.index.append(f.log, f.state.Load()); err != nil {
				return err
			}
		}
	}
	return nil
}
