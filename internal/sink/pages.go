package sink

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"io"
	"os"
)

// checkPages reads a bbolt file (format 2) and says what in it cannot be so,
// before bbolt maps it: on a damaged page bbolt panics, loops, or follows an
// offset out of its mapping, and a damaged freelist lets it overwrite what is
// in use. fellBack means that one of the two meta pages is unreadable.
//
// bbolt has checksums on its meta pages only. checkPages sees to the structure: every
// page is what it says it is, referenced once, within the file, its keys in
// order and between those of its parent. The content has checksums of its
// own, see appendSum.
//
// bbolt's own check does not qualify: it faults on the same pages, in a
// goroutine of its own. Layout, in native byte order:
//
//	page    id u64, flags u16, count u16, overflow u32
//	meta    magic u32, version u32, page size u32, flags u32, root (page u64, sequence u64),
//	        freelist u64, high water mark u64, transaction u64, FNV-1a u64 of these 56 bytes
//	branch  count × (pos u32, key length u32, page u64); pos counts from the element
//	leaf    count × (flags u32, pos u32, key length u32, value length u32)
//	bucket  (value of a leaf with flag 1) root page u64, sequence u64, an inline page if root is 0
func checkPages(f *os.File) (fellBack bool, err error) {
	info, err := f.Stat()
	if err != nil {
		return false, err
	}
	c := &pageCheck{file: f, path: f.Name(), size: info.Size()}
	if err := c.findMeta(); err != nil {
		return false, err
	}
	if c.meta.end > uint64(c.size)/uint64(c.pageSize) {
		return false, c.damaged(-1, "the file is cut short: %d bytes, %d pages of %d are in use", c.size, c.meta.end, c.pageSize)
	}
	c.seen = make([]uint64, c.meta.end/64+1)
	c.mark(0)
	c.mark(1)
	if err := c.tree(c.meta.root, nil, nil, 0); err != nil {
		return false, err
	}
	return c.metas == 1, c.freelist()
}

var native = binary.NativeEndian

const (
	pageHeader = 16
	elementLen = 16
	branchPage = 0x01
	leafPage   = 0x02
	freePage   = 0x10
	maxDepth   = 40
)

type pageCheck struct {
	file     *os.File
	path     string
	size     int64
	pageSize int64
	metas    int // how many are valid
	meta     struct{ root, freelist, end, tx uint64 }
	seen     []uint64 // bit set of pages
}

func (c *pageCheck) damaged(page int64, format string, args ...any) error {
	at := int64(-1)
	if page >= 0 {
		at = page * c.pageSize
	}
	return &DamageError{File: c.path, Offset: at, What: fmt.Sprintf(format, args...)}
}

// findMeta takes the newer of the valid meta pages, as bbolt does. The second
// one lies behind the first page, whose size the first one tells.
func (c *pageCheck) findMeta() error {
	if size := c.readMeta(0); size > 0 {
		c.readMeta(size)
		return nil
	}
	for size := int64(1 << 10); size <= 1<<24 && size < c.size; size <<= 1 {
		if c.readMeta(size) == size {
			return nil
		}
	}
	return c.damaged(-1, "neither of its two meta pages is valid")
}

// readMeta returns the page size that a valid meta page at the offset tells.
func (c *pageCheck) readMeta(at int64) int64 {
	b := make([]byte, pageHeader+64)
	if _, err := c.file.ReadAt(b, at); err != nil {
		return 0
	}
	m := b[pageHeader:]
	h := fnv.New64a()
	_, _ = h.Write(m[:56]) // never fails
	if native.Uint32(m) != 0xED0CDAED || native.Uint32(m[4:]) != 2 || native.Uint64(m[56:]) != h.Sum64() {
		return 0
	}
	size := int64(native.Uint32(m[8:]))
	if size < 1<<10 || size > 1<<24 {
		return 0
	}
	c.metas++
	if tx := native.Uint64(m[48:]); c.metas == 1 || tx > c.meta.tx {
		c.meta.root, c.meta.freelist, c.meta.end, c.meta.tx = native.Uint64(m[16:]), native.Uint64(m[32:]), native.Uint64(m[40:]), tx
		c.pageSize = size
	}
	return size
}

// mark notes a page as in use; false if it was.
func (c *pageCheck) mark(page uint64) bool {
	bit := uint64(1) << (page % 64)
	old := c.seen[page/64]
	c.seen[page/64] |= bit
	return old&bit == 0
}

// read returns a page with its overflow, after checking its header.
func (c *pageCheck) read(page uint64) (b []byte, flags uint16, err error) {
	if page < 2 || page >= c.meta.end {
		return nil, 0, c.damaged(-1, "page %d is referenced, there are %d", page, c.meta.end)
	}
	head := make([]byte, pageHeader)
	if _, err := c.file.ReadAt(head, int64(page)*c.pageSize); err != nil {
		return nil, 0, c.damaged(int64(page), "read page: %v", err)
	}
	flags = native.Uint16(head[8:])
	overflow := uint64(native.Uint32(head[12:]))
	if id := native.Uint64(head); id != page || overflow >= c.meta.end-page {
		return nil, 0, c.damaged(int64(page), "page %d says it is page %d with %d more", page, id, overflow)
	}
	for i := range overflow + 1 {
		if !c.mark(page + i) {
			return nil, 0, c.damaged(int64(page), "page %d is in use twice", page+i)
		}
	}
	b = make([]byte, (int64(overflow)+1)*c.pageSize)
	if _, err := c.file.ReadAt(b, int64(page)*c.pageSize); err != nil && err != io.EOF {
		return nil, 0, c.damaged(int64(page), "read page: %v", err)
	}
	return b, flags, nil
}

// tree checks a page and all below it; its keys must be >= low and < high,
// where these are not nil.
func (c *pageCheck) tree(page uint64, low, high []byte, depth int) error {
	b, flags, err := c.read(page)
	if err != nil {
		return err
	}
	switch {
	case depth > maxDepth:
		return c.damaged(int64(page), "the tree is deeper than %d pages", maxDepth)
	case flags == leafPage:
		return c.leaf(page, b, low, high, depth)
	case flags == branchPage:
		return c.branch(page, b, low, high, depth)
	}
	return c.damaged(int64(page), "page %d has unknown kind %#x", page, flags)
}

func (c *pageCheck) branch(page uint64, b, low, high []byte, depth int) error {
	count := int(native.Uint16(b[10:]))
	if count == 0 {
		return c.damaged(int64(page), "branch page %d is empty", page)
	}
	keys := make([][]byte, count+1)
	keys[count] = high
	for i := range count {
		at := pageHeader + i*elementLen
		key, _, ok := element(b, at, count, 0, 4)
		if !ok {
			return c.damaged(int64(page), "entry %d of page %d lies outside of it", i, page)
		}
		keys[i] = key
	}
	for i := range count {
		if !between(keys[i], low, high) || i > 0 && string(keys[i-1]) >= string(keys[i]) {
			return c.damaged(int64(page), "key %d of page %d is out of order", i, page)
		}
	}
	for i := range count {
		child := native.Uint64(b[pageHeader+i*elementLen+8:])
		if err := c.tree(child, keys[i], keys[i+1], depth+1); err != nil {
			return err
		}
	}
	return nil
}

// leaf checks a leaf page, or the page inside a bucket's value.
func (c *pageCheck) leaf(page uint64, b, low, high []byte, depth int) error {
	count := int(native.Uint16(b[10:]))
	var last []byte
	for i := range count {
		at := pageHeader + i*elementLen
		key, value, ok := element(b, at, count, 4, 8)
		if !ok || len(key) == 0 {
			return c.damaged(int64(page), "entry %d of page %d lies outside of it", i, page)
		}
		if !between(key, low, high) || i > 0 && string(last) >= string(key) {
			return c.damaged(int64(page), "key %d of page %d is out of order", i, page)
		}
		last = key
		switch native.Uint32(b[at:]) {
		case 0:
		case 1:
			if err := c.bucket(page, value, depth); err != nil {
				return err
			}
		default:
			return c.damaged(int64(page), "entry %d of page %d has an unknown kind", i, page)
		}
	}
	return nil
}

func (c *pageCheck) bucket(page uint64, value []byte, depth int) error {
	if len(value) < 16 {
		return c.damaged(int64(page), "a bucket on page %d is too short", page)
	}
	if root := native.Uint64(value); root != 0 {
		return c.tree(root, nil, nil, depth+1)
	}
	inline := value[16:]
	if len(inline) < pageHeader || native.Uint16(inline[8:]) != leafPage {
		return c.damaged(int64(page), "a bucket on page %d has no page inside", page)
	}
	return c.leaf(page, inline, nil, nil, depth+1)
}

// element returns key and value of the element at b[at:]; pos is where its
// offset field lies in it, size where its key length does. A value length
// follows in leaf elements only.
func element(b []byte, at, count, pos, size int) (key, value []byte, ok bool) {
	if pageHeader+count*elementLen > len(b) {
		return nil, nil, false
	}
	from := int64(at) + int64(native.Uint32(b[at+pos:]))
	mid := from + int64(native.Uint32(b[at+size:]))
	to := mid
	if pos > 0 {
		to += int64(native.Uint32(b[at+size+4:]))
	}
	if from < int64(pageHeader+count*elementLen) || to > int64(len(b)) {
		return nil, nil, false
	}
	return b[from:mid], b[mid:to], true
}

func between(key, low, high []byte) bool {
	return (low == nil || string(key) >= string(low)) && (high == nil || string(key) < string(high))
}

// freelist checks that what bbolt takes for free is not in use. The list may
// be longer than 65534 pages: then its length is its first entry.
func (c *pageCheck) freelist() error {
	b, flags, err := c.read(c.meta.freelist)
	if err != nil {
		return err
	}
	page := int64(c.meta.freelist)
	if flags != freePage {
		return c.damaged(page, "page %d is not the list of free pages", page)
	}
	count, ids := uint64(native.Uint16(b[10:])), b[pageHeader:]
	if count == 0xFFFF {
		count, ids = native.Uint64(ids), ids[8:]
	}
	if count > uint64(len(ids)/8) {
		return c.damaged(page, "the list of free pages is longer than its page")
	}
	for i := range count {
		id := native.Uint64(ids[i*8:])
		if id < 2 || id >= c.meta.end || !c.mark(id) {
			return c.damaged(page, "page %d is listed as free, and is not", id)
		}
	}
	return nil
}
