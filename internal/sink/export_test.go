package sink

import (
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

// InCuts returns how many chunks take more than a spot.
func (t *Table) InCuts() int { return len(t.cuts) }

// FillIndex adds n more chunks, which the log does not have, to the index of an open folder.
func (f *Folder) FillIndex(n int) error {
	for id := range n {
		where := int64(id) * 15_000
		f.index.note(Placed{Entry{ID: chunk.ID(id), Objects: 100, Of: 100, Digest: chunk.Digest{byte(id)}}, at(int(where/DefaultPartBytes), where%DefaultPartBytes)})
		if f.index.due(f.log) || id == n-1 {
			if err := f.index.append(f.log, f.state.Load()); err != nil {
				return err
			}
		}
	}
	return nil
}
