package sink_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	bolt "go.etcd.io/bbolt"
)

// indexNode is what a platter knows of bbolt's file beyond other files. What
// bbolt writes goes past the platter; it is found out by comparing the file
// with what is durable of it.
type indexNode struct {
	// stale are sectors that are in memory only and look as if they were
	// durable: a sync failed on them, and the next one passes them over, until
	// they are written again.
	stale map[int64]bool
}

func (x *indexNode) rewritten(c change) {
	for at := c.at / sectorSize; at*sectorSize < c.at+int64(len(c.bytes)); at++ {
		delete(x.stale, at)
	}
}

// flushed is what is durable after a sync.
func (x *indexNode) flushed(durable, now []byte) []byte {
	b := bytes.Clone(now)
	for at := range x.stale {
		from, to := at*sectorSize, (at+1)*sectorSize
		if to <= int64(len(durable)) && to <= int64(len(b)) {
			copy(b[from:to], durable[from:to])
		}
	}
	return b
}

// after is what a power cut leaves of the file: any of the sectors that are
// not durable, the length of now or of then.
func (x *indexNode) after(t *testing.T, n *node, path string, d dice) []byte {
	t.Helper()
	if x == nil {
		return nil
	}
	now, err := os.ReadFile(path)
	if info, e := os.Stat(path); errors.Is(err, fs.ErrNotExist) || e == nil && info.IsDir() {
		return bytes.Clone(n.bytes) // removed since, or it has another's name
	}
	if err != nil {
		t.Fatal(err)
	}
	b := bytes.Clone(n.bytes)
	if d.roll(d.length) {
		b = resize(b, int64(len(now)))
	}
	for from := 0; from < len(now); from += sectorSize {
		to := min(from+sectorSize, len(now))
		changed := to > len(n.bytes) || !bytes.Equal(n.bytes[from:to], now[from:to])
		if changed && !x.stale[int64(from/sectorSize)] && d.roll(d.data) {
			b = resize(b, int64(max(len(b), to)))
			copy(b[from:], now[from:to])
		}
	}
	return b
}

// inside is a point within bbolt's commit, which goes (bbolt v1.5.0, Tx.Commit):
//
//	make the file longer, sync ──▶ write pages that nobody uses ──▶ sync ──▶ write the older of the two meta pages ──▶ sync
type inside int

const (
	outside    inside = iota
	someData          // some of the pages are written
	allData           // all of them, and none is synced
	metaWrite         // they are synced, and the meta page is written
	syncFailed        // the same, and its sync has failed
	insides
)

// errKilled is what every step of a process returns after its end.
var errKilled = errors.New("killed")

// CommitIndex lets bbolt commit, and may stop it within.
func (d *testFS) CommitIndex(tx *bolt.Tx) error {
	if err := d.before(step{"index", "index.db"}); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	// The test's platter knows what a sync would do, and a real one takes its time.
	path, db := tx.DB().Path(), tx.DB()
	db.NoSync = true
	where := d.within()
	old, err := os.ReadFile(path)
	if err != nil && d.platter != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	if where != outside {
		return d.stopWithin(where, path, old)
	}
	if d.committed != nil {
		next, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		d.committed(path, old, next)
	}
	d.platter.sync(path)
	d.after(step{"index", "index.db"})
	return nil
}

// stopWithin makes the file what it was at a point within the commit.
func (d *testFS) stopWithin(where inside, path string, old []byte) error {
	next, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	data, meta := pagesOf(old, next)
	now := resize(bytes.Clone(old), int64(len(next)))
	for _, page := range data {
		if where != someData || d.coin() {
			copy(now[page*pageSize:], next[page*pageSize:(page+1)*pageSize])
		}
	}
	write := func() error {
		f, err := os.OpenFile(path, os.O_WRONLY, 0) // bbolt has mapped it: it must not become shorter
		if err != nil {
			return err
		}
		_, err = f.WriteAt(now, 0)
		return errors.Join(err, f.Close())
	}
	if err := write(); err != nil {
		return err
	}
	if where == metaWrite || where == syncFailed {
		d.platter.sync(path)
		copy(now[meta*pageSize:], next[meta*pageSize:(meta+1)*pageSize])
		if err := write(); err != nil {
			return err
		}
	}
	if where == syncFailed {
		if n := d.platter.find(path); n != nil {
			n.index.stale = map[int64]bool{int64(meta * pageSize / sectorSize): true}
		}
	}
	d.dead = true
	return errKilled
}

var pageSize = os.Getpagesize()

// pagesOf divides what a commit changed into the data pages and the meta page.
func pagesOf(old, next []byte) (data []int, meta int) {
	old = resize(bytes.Clone(old), int64(len(next)))
	for page := range len(next) / pageSize {
		from, to := page*pageSize, (page+1)*pageSize
		switch {
		case bytes.Equal(old[from:to], next[from:to]):
		case page < 2:
			meta = page
		default:
			data = append(data, page)
		}
	}
	return data, meta
}

// OpenIndex may make the file, which bbolt then begins without a step.
func (d *testFS) OpenIndex(name string, flag int, perm os.FileMode) (*os.File, error) {
	if d.dead {
		return nil, errKilled
	}
	f, err := d.Disk.OpenIndex(name, flag, perm)
	if err == nil && filepath.Base(name) == "index.db.new" {
		d.platter.create(name, &node{index: &indexNode{}})
	}
	return f, err
}
