package sink_test

import (
	"bytes"
	"flag"
	"fmt"
	"iter"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/sink/sinktest"
)

// Where meta pages tear does not matter to their checksum; every byte is tried
// at night.
var markStep = flag.Int("crash.step", 8, "bytes from one torn meta page to the next")

// grown is a story whose index becomes longer and deeper.
func grown() story {
	var counts [][]int
	for i := range 260 {
		counts = append(counts, []int{1, i%4 - 1})
	}
	s := story{all: sinktest.Chain("grown", counts...), o: sink.FolderOptions{PartBytes: 5000}}
	from := 0
	for _, to := range []int{5, 130, 135, 255, 260} {
		s.groups = append(s.groups, s.all[from:to])
		from = to
	}
	return s
}

// indexCommit is one transaction: the folder as it was before on the platter,
// the file that changed, and what the callers knew.
type indexCommit struct {
	dir, file string
	old, next []byte
	known     told
}

// TestPowerCutWithinIndexCommit builds, for every transaction of a folder's
// life, what a power cut between its syncs may leave of index.db (see inside).
// Each is the state before or the state after, is not called damaged, and
// the story goes on from there.
func TestPowerCutWithinIndexCommit(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]story{"small": newStory(), "grown": grown()} {
		commits := s.indexCommits(t)
		longer := 0
		for i, c := range commits {
			if len(c.next) > len(c.old) {
				longer++
			}
			t.Run(fmt.Sprintf("%s/%d", name, i), func(t *testing.T) {
				t.Parallel()
				scratch := filepath.Join(t.TempDir(), "scratch")
				n := 0
				for what, image := range c.images() {
					copyDir(t, c.dir, scratch)
					if err := os.WriteFile(filepath.Join(scratch, "sink", c.file), image, 0o600); err != nil {
						t.Fatal(err)
					}
					if err := s.goOn(t, scratch, c.known, n%16 == 0); err != nil {
						t.Fatalf("%s: %v", what, err)
					}
					n++
				}
				if n < 20 {
					t.Errorf("only %d images", n)
				}
			})
		}
		if len(commits) < 8 || longer == 0 || name == "grown" && longer < 2 {
			t.Errorf("%s: %d transactions, %d made the file longer: too few", name, len(commits), longer)
		}
	}
}

// indexCommits lives the story and returns its transactions.
func (s story) indexCommits(t *testing.T) (commits []indexCommit) {
	t.Helper()
	home := t.TempDir()
	disk := newCrashFS(t, home)
	var known told
	disk.committed = func(path string, old, next []byte) {
		to := filepath.Join(t.TempDir(), "before")
		disk.platter.crash(t, to, allLost)
		commits = append(commits, indexCommit{to, filepath.Base(path), old, next, known})
	}
	if err := s.live(t, disk, filepath.Join(home, "sink"), &known); err != nil {
		t.Fatal(err)
	}
	return commits
}

// goOn opens a folder that a power cut left, first to read and then to
// write, and compares; toTheEnd tells the rest of the story, too.
func (s story) goOn(t *testing.T, home string, known told, toTheEnd bool) error {
	t.Helper()
	dir := filepath.Join(home, "sink")
	if _, err := os.Stat(filepath.Join(dir, "index.db")); err == nil {
		f, err := sink.OpenFolder(dir, "", sink.FolderOptions{ReadOnly: true})
		if err != nil {
			return fmt.Errorf("open to read: %w", err)
		}
		seen := known
		s.takeStock(t, f, &seen)
		closeIt(t, f)
	}
	if toTheEnd {
		return s.live(t, newTestFS(), dir, &known)
	}
	f, err := sink.OpenFolderOn(newTestFS(), dir, job, s.o)
	if err != nil {
		return err
	}
	if _, bound := f.Plan(); known.claimed && !bound {
		t.Fatal("the claim is lost")
	}
	s.takeStock(t, f, &known)
	return f.Close()
}

// images yields what the power may leave, with a description.
func (c indexCommit) images() iter.Seq2[string, []byte] {
	data, meta := pagesOf(c.old, c.next)
	rng := rand.New(rand.NewPCG(uint64(len(c.next)), uint64(meta)))
	return func(yield func(string, []byte) bool) {
		show := func(b []byte, format string, args ...any) bool { return yield(fmt.Sprintf(format, args...), b) }
		grown := resize(bytes.Clone(c.old), int64(len(c.next)))
		if !show(c.old, "nothing written") || !show(grown, "only longer") || !show(c.next, "all written") {
			return
		}
		for i, pages := range subsets(rng, data) {
			b := bytes.Clone(grown)
			for _, page := range pages {
				copySectors(rng, b, c.next, page, i%2 == 1)
			}
			if !show(b, "pages %v of %v, torn: %t", pages, data, i%2 == 1) {
				return
			}
		}
		synced := bytes.Clone(c.next)
		copy(synced[meta*pageSize:], grown[meta*pageSize:(meta+1)*pageSize])
		for n := 0; n <= markSize; n += *markStep {
			for _, tail := range []bool{false, true} {
				b := bytes.Clone(synced)
				from, to := meta*pageSize, meta*pageSize+n
				if tail {
					from, to = to, (meta+1)*pageSize
				}
				copy(b[from:to], c.next[from:to])
				if !show(b, "all pages, and bytes %d to %d of the meta page", from, to) {
					return
				}
			}
		}
	}
}

// markSize is what bbolt uses of a meta page: a header of 16 bytes, 64 of content.
const markSize = 80

// copySectors writes a page, or any of its sectors.
func copySectors(rng *rand.Rand, to, from []byte, page int, torn bool) {
	for at := page * pageSize; at < (page+1)*pageSize; at += sectorSize {
		if !torn || rng.IntN(2) == 0 {
			copy(to[at:at+sectorSize], from[at:at+sectorSize])
		}
	}
}

// subsets are all of a few pages; of many those that a disk working through
// them in order leaves, forwards and backwards, and as many at random.
func subsets(rng *rand.Rand, pages []int) (all [][]int) {
	if len(pages) <= 5 {
		for bits := range 1 << len(pages) {
			all = append(all, pick(pages, func(i int) bool { return bits>>i&1 == 1 }), pick(pages, func(i int) bool { return bits>>i&1 == 1 }))
		}
		return all
	}
	for n := 0; n <= len(pages); n += 1 + len(pages)/8 {
		some := pick(pages, func(int) bool { return rng.IntN(2) == 0 })
		all = append(all, pages[:n], pages[:n], pages[n:], pages[n:], some, some)
	}
	return all
}

func pick(pages []int, in func(int) bool) (picked []int) {
	for i, page := range pages {
		if in(i) {
			picked = append(picked, page)
		}
	}
	return picked
}
