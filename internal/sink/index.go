package sink

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/chunkline/chunkline/internal/chunk"
)

// An index is a summary of the log, so that opening a folder need not read every frame. It is derived: any part that is
// missing or incomplete is read from the log instead, and nothing waits for the index to be durable. It is a file of
// blocks, each of which continues where the one before ends:
//
//	 0  magic, 4 bytes
//	 4  length of the entries, 4 bytes
//	 8  length of the state, 4 bytes
//	12  checksum of the log's frame where the block before ends, 4 bytes; 0 in the first block
//	16  checksum of the block but for these 4 bytes
//	20  state, JSON; then the entries: chunk, position, digest, 32 bytes in all. If the position has no
//	    number of objects, from, objects and of follow, 4 bytes each; position 0 means that the
//	    piece was removed
//
// A block is written only after the frames that it covers are durable. So that part of the log was committed, and if it
// is missing, it was lost or damaged.
type index struct {
	fs    fileSystem
	path  string
	file  file // open for writing
	end   int64
	sum   uint32 // of the log's frame where the last block ends
	parts int    // parts of the log at that time
	bad   bool   // a write failed: no more blocks until the folder is opened again

	pending []byte // entries that are not in a block yet
}

const (
	indexName   = "log.index"
	indexMagic  = "\xc1ki\n"
	blockPrefix = 20
	entrySize   = 32 // of a whole chunk
	longSize    = entrySize + 12
	// blockEntries is the number of entries in a block, and so roughly the number of frames to read when a folder was
	// not closed.
	blockEntries = 4096
)

// indexed is the state of a block, with the position in the log where the block ends.
type indexed struct {
	Claims   *Claims   `json:"claims"`
	Totals   Totals    `json:"totals"`
	Written  *written  `json:"written"`
	Finished *finished `json:"finished"`

	Parts []int64 `json:"parts"`
	mark
}

func newIndex(fs fileSystem, dir string) *index {
	return &index{fs: fs, path: filepath.Join(dir, indexName)}
}

// note adds an entry to the next block.
func (x *index) note(p Placed) {
	if x.bad {
		return
	}
	s, whole := p.spot()
	x.pending = binary.LittleEndian.AppendUint64(x.pending, uint64(p.ID))
	x.pending = binary.LittleEndian.AppendUint64(x.pending, uint64(s.at))
	x.pending = append(x.pending, s.digest[:]...)
	if whole {
		return
	}
	for _, n := range []int{p.From, p.Objects, p.Of} {
		x.pending = binary.LittleEndian.AppendUint32(x.pending, uint32(n))
	}
}

// restore adds the entries of a block to a table; false if they are invalid.
func restore(into *Table, entries []byte) bool {
	for len(entries) > 0 {
		if len(entries) < entrySize {
			return false
		}
		id, s := chunk.ID(binary.LittleEndian.Uint64(entries)), spot{at: Position(binary.LittleEndian.Uint64(entries[8:]))}
		copy(s.digest[:], entries[16:])
		if s.at.objects() > 0 {
			into.put(id, s)
			entries = entries[entrySize:]
			continue
		}
		if len(entries) < longSize {
			return false
		}
		n := func(at int) int { return int(binary.LittleEndian.Uint32(entries[entrySize+at:])) }
		if from := n(0); s.at == 0 {
			into.Remove(id, from)
		} else {
			into.Set(Placed{Entry{ID: id, From: from, Objects: n(4), Of: n(8), Digest: s.digest}, s.at})
		}
		entries = entries[longSize:]
	}
	return true
}

// due reports whether a block should be written. A full part also gets one, to record its length.
func (x *index) due(l *log) bool {
	return len(x.pending) >= blockEntries*entrySize || len(l.parts) > x.parts
}

// covers reports whether the last block ends at the end of the log.
func (x *index) covers(l *log) bool { return x.sum == l.Sum }

// write appends a block that ends at the end of the log. An error only makes the next opening slower.
func (x *index) write(l *log, s *state) {
	if x.bad || x.covers(l) {
		return
	}
	if err := x.append(l, s); err != nil {
		x.bad, x.pending = true, nil
	}
}

func (x *index) append(l *log, s *state) error {
	b := make([]byte, blockPrefix, blockPrefix+len(x.pending)+1024)
	b, err := appendJSON(b, indexed{s.claims, s.totals, s.written, s.finished, l.parts, l.mark})
	if err != nil {
		return err
	}
	copy(b, indexMagic)
	binary.LittleEndian.PutUint32(b[4:], uint32(len(x.pending)))
	binary.LittleEndian.PutUint32(b[8:], uint32(len(b)-blockPrefix))
	binary.LittleEndian.PutUint32(b[12:], x.sum)
	b = append(b, x.pending...)
	binary.LittleEndian.PutUint32(b[16:], blockSum(b))
	if x.file == nil {
		f, err := x.fs.OpenFile(x.path, os.O_RDWR|os.O_CREATE)
		if err != nil {
			return err
		}
		x.file = f
	}
	if err := writeFull(x.file, b, x.end); err != nil {
		return err
	}
	x.end += int64(len(b))
	x.sum, x.parts, x.pending = l.Sum, len(l.parts), x.pending[:0]
	return x.file.Truncate(x.end) // remove incomplete blocks
}

func blockSum(b []byte) uint32 {
	return crc32.Update(checksum(b[:16]), castagnoli, b[blockPrefix:])
}

// close makes the blocks durable.
func (x *index) close() error {
	if x.file == nil {
		return nil
	}
	err := errors.Join(x.file.Sync(), x.file.Close())
	x.file = nil
	return err
}

// load reads the blocks into a table. It returns the state of the last one, or nil if there is none.
func (x *index) load(into *Table) (last *indexed, err error) {
	info, err := x.fs.Stat(x.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	f, err := x.fs.OpenFile(x.path, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	for {
		block, entries, err := x.block(f, info.Size())
		if err != nil || block == nil {
			return last, err
		}
		if !restore(into, entries) {
			return nil, fmt.Errorf("%w: entries of %s", ErrFormat, indexName)
		}
		last = block
	}
}

// block reads the next block; nil if it is missing or incomplete.
func (x *index) block(f file, size int64) (*indexed, []byte, error) {
	var prefix [blockPrefix]byte
	if n, err := f.ReadAt(prefix[:], x.end); n < blockPrefix {
		return nil, nil, notEOF(err)
	}
	entries, text := int64(binary.LittleEndian.Uint32(prefix[4:])), int64(binary.LittleEndian.Uint32(prefix[8:]))
	length := blockPrefix + text + entries
	if string(prefix[:4]) != indexMagic || binary.LittleEndian.Uint32(prefix[12:]) != x.sum || length > size-x.end {
		return nil, nil, nil
	}
	if int64(cap(x.pending)) < length { // the buffer is unused until the folder is open
		x.pending = make([]byte, length)
	}
	b := x.pending[:length]
	if n, err := f.ReadAt(b, x.end); n < len(b) {
		return nil, nil, notEOF(err)
	}
	if blockSum(b) != binary.LittleEndian.Uint32(prefix[16:]) {
		return nil, nil, nil
	}
	block := &indexed{}
	if json.Unmarshal(b[blockPrefix:blockPrefix+text], block) != nil || block.Claims == nil || block.Written == nil || len(block.Parts) == 0 {
		return nil, nil, nil //nolint:nilerr // the frames that the block covers are read from the log instead
	}
	x.end += length
	x.sum, x.parts = block.Sum, len(block.Parts)
	return block, b[blockPrefix+text:], nil
}

func notEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// agree checks that the log still holds everything that the block covers.
func (last *indexed) agree(l *log, have []int64) error {
	for part, end := range last.Parts {
		if part >= len(have) {
			return &DamageError{File: l.path(part), Offset: -1, What: fmt.Sprintf("the file is missing; %d bytes of it are committed%s", end, copiedHint)}
		}
		more := have[part] - end
		if more < 0 || more > 0 && part < len(last.Parts)-1 {
			return &DamageError{File: l.path(part), Offset: min(have[part], end),
				What: fmt.Sprintf("the file has %d bytes, by %s %d are committed%s", have[part], indexName, end, copiedHint)}
		}
	}
	f, err := l.fs.OpenFile(l.path(last.Newest.part()), os.O_RDONLY)
	if err != nil {
		return err
	}
	in := frameReader{file: f, size: have[last.Newest.part()]}
	h, _, what, err := in.read(last.Newest.offset())
	if err == nil && (what != "" || h.sum != last.Sum) {
		err = &DamageError{File: l.path(last.Newest.part()), Offset: last.Newest.offset(),
			What: "the record here differs from the one in " + indexName + copiedHint}
	}
	return errors.Join(err, f.Close())
}

const copiedHint = " (if the log was restored from a copy, remove " + indexName + ", which is made again)"
