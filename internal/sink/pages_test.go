package sink_test

import (
	"encoding/binary"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	bolt "go.etcd.io/bbolt"

	"github.com/chunkline/chunkline/internal/sink"
)

func checkFile(t *testing.T, path string) error {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	_, err = sink.CheckPages(f)
	return err
}

// TestHealthyIndexPasses: whatever bbolt writes is not called damaged, neither
// a deep tree nor one that is mostly free pages (more than 65534, whose list has
// another form).
func TestHealthyIndexPasses(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "index.db")
	db, err := bolt.Open(path, 0o600, &bolt.Options{PageSize: 1024, NoSync: true, FreelistType: bolt.FreelistMapType})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rng := rand.New(rand.NewPCG(1, 2))
	name := []byte("bucket")
	put := func(n, size int) func(*bolt.Tx) error {
		return func(tx *bolt.Tx) error {
			b, err := tx.CreateBucketIfNotExists(name)
			for i := 0; err == nil && i < n; i++ {
				err = b.Put(binary.BigEndian.AppendUint64(nil, rng.Uint64N(1<<40)), make([]byte, 1+rng.IntN(size)))
			}
			return err
		}
	}
	for i, change := range []func(*bolt.Tx) error{
		put(1, 10), put(20_000, 50), put(50, 5000), put(1, 1), put(80_000, 950),
		func(tx *bolt.Tx) error { return tx.DeleteBucket(name) },
		put(3, 10), put(3000, 100),
	} {
		if err := db.Update(change); err != nil {
			t.Fatal(err)
		}
		if err := checkFile(t, path); err != nil {
			t.Fatalf("after change %d: %v", i, err)
		}
	}
	if s := db.Stats(); s.FreePageN+s.PendingPageN < 0xFFFF {
		free := s.FreePageN + s.PendingPageN
		t.Errorf("only %d pages are free: the long form of their list was not seen", free)
	}
}

// TestFreePageInUse: the one damage that no read shows. bbolt would write over
// a page that is in use.
func TestFreePageInUse(t *testing.T) {
	t.Parallel()
	dir := newStory().filled(t)
	path := filepath.Join(dir, "index.db")
	edit(t, path, func(b []byte) []byte {
		newest := max(meta(b, 0), meta(b, 4096))
		freelist := newest & 0xFFFF
		free := binary.NativeEndian.Uint16(b[freelist*4096+10:])
		if free == 0 {
			t.Fatal("no page is free")
		}
		listed := make(map[uint64]bool)
		list := b[freelist*4096+16:]
		for i := range free {
			listed[binary.NativeEndian.Uint64(list[8*i:])] = true
		}
		used := uint64(2)
		for listed[used] || used == freelist {
			used++
		}
		binary.NativeEndian.PutUint64(list, used)
		return b
	})
	d := wantDamaged(t, dir, newStory().o, "index.db")
	if d.Offset <= 0 || !strings.Contains(d.What, "listed as free") {
		t.Errorf("damage is %+v", d)
	}
}

// meta is transaction and freelist page of a meta page, the former in the high
// bits.
func meta(b []byte, at int) uint64 {
	return binary.NativeEndian.Uint64(b[at+16+48:])<<16 | binary.NativeEndian.Uint64(b[at+16+32:])
}
