package sink_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/sink/sinktest"
)

// filled makes a closed folder that the story has filled, and returns it.
func (s story) filled(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "sink")
	f := openClaimed(t, dir, s.o)
	for _, g := range s.groups {
		commit(t, f, g...)
	}
	closeIt(t, f)
	return dir
}

// TestTornTail cuts the last group's data at every byte, with the index that
// does not have it yet, as a crash before the index transaction leaves it; and
// once more with other bytes than were written. All of it goes; nothing else does.
func TestTornTail(t *testing.T) {
	t.Parallel()
	s := newStory()
	dir := filepath.Join(t.TempDir(), "sink")
	o := sink.FolderOptions{PartBytes: 250}
	f := openClaimed(t, dir, o)
	last := s.groups[len(s.groups)-1]
	for _, g := range s.groups[:len(s.groups)-1] {
		commit(t, f, g...)
	}
	closeIt(t, f)
	before := copyDir(t, dir, filepath.Join(t.TempDir(), "before"))
	f = openClaimed(t, dir, o)
	commit(t, f, last...)
	closeIt(t, f)

	parts := []string{"results-00000.jsonl", "results-00001.jsonl"}
	size := func(dir, part string) int {
		info, err := os.Stat(filepath.Join(dir, "parts", part))
		if err != nil {
			return 0
		}
		return int(info.Size())
	}
	tail := 0
	for _, p := range parts {
		tail += size(dir, p) - size(before, p)
	}
	if size(before, parts[1]) != 0 || size(dir, parts[1]) == 0 {
		t.Fatal("the last group does not begin a new part: the test does not show what it should")
	}
	scratch := filepath.Join(t.TempDir(), "scratch")
	for keep := range tail + 1 {
		for _, garbled := range []bool{false, true} {
			copyDir(t, before, scratch)
			left := keep
			for _, p := range parts {
				whole, err := os.ReadFile(filepath.Join(dir, "parts", p))
				if err != nil {
					t.Fatal(err)
				}
				from := size(before, p)
				n := min(left, len(whole)-from)
				left -= n
				if garbled {
					clear(whole[from:])
				}
				if err := os.WriteFile(filepath.Join(scratch, "parts", p), whole[:from+n], 0o644); err != nil {
					t.Fatal(err)
				}
			}
			f := openOn(t, newTestFS(), scratch, o) // whose syncs take no time
			if got := f.Recovered(); got.Bytes != int64(keep) || got.Files != 1 || got.FellBack {
				t.Fatalf("with %d bytes of the tail: recovered %+v", keep, got)
			}
			want(t, f, s.upTo(len(s.groups)-1)...)
			commit(t, f, last...)
			finish(t, f, s.all...)
			closeIt(t, f)
		}
	}
}

// TestDamagedParts flips every byte of every part, cuts every part at every
// byte, and takes each away. Nothing of that is opened, and nothing of it changed.
func TestDamagedParts(t *testing.T) {
	t.Parallel()
	s := newStory()
	dir := s.filled(t)
	parts, err := os.ReadDir(filepath.Join(dir, "parts"))
	if err != nil || len(parts) < 4 {
		t.Fatalf("%d parts, %v", len(parts), err)
	}
	for _, p := range parts {
		t.Run(p.Name(), func(t *testing.T) {
			t.Parallel()
			dir := copyDir(t, dir, filepath.Join(t.TempDir(), "sink"))
			path := filepath.Join(dir, "parts", p.Name())
			good, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			refused := func(name string, bad []byte) {
				t.Helper()
				if err := os.WriteFile(path, bad, 0o644); err != nil {
					t.Fatal(err)
				}
				d := wantDamaged(t, dir, s.o, p.Name())
				if d.Offset < 0 || d.Offset > int64(len(good)) {
					t.Fatalf("%s: offset %d of %d", name, d.Offset, len(good))
				}
				after, err := os.ReadFile(path)
				if err != nil || string(after) != string(bad) {
					t.Fatalf("%s: the part was changed (%v)", name, err)
				}
			}
			for i := range good {
				bad := append([]byte(nil), good...)
				bad[i] ^= 1 << (i % 8)
				refused(fmt.Sprintf("byte %d flipped", i), bad)
				refused(fmt.Sprintf("cut at %d", i), good[:i])
			}
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			wantDamaged(t, dir, s.o, p.Name())
			if err := os.WriteFile(path, good, 0o644); err != nil {
				t.Fatal(err)
			}
			want(t, openOn(t, sink.Disk{}, dir, s.o), s.all...)
		})
	}
}

// TestDamageNamesChunkAndPlace: who is refused must know where to look.
func TestDamageNamesChunkAndPlace(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "sink")
	f := openClaimed(t, dir, sink.FolderOptions{})
	all := sinktest.Chain("", []int{1}, []int{1}, []int{1})
	commit(t, f, all...)
	closeIt(t, f)
	second := len(all[0].Outputs)
	edit(t, filepath.Join(dir, "parts", "results-00000.jsonl"), func(b []byte) []byte { b[second+3] ^= 1; return b })
	d := wantDamaged(t, dir, sink.FolderOptions{}, "results-00000.jsonl")
	if !d.Known || d.Chunk != 1 || d.Offset != int64(second) {
		t.Fatalf("damage is %+v, want chunk 1 at byte %d", d, second)
	}
	for _, says := range []string{"(chunk 1)", fmt.Sprint("byte ", second), "nothing was changed", dir} {
		if !strings.Contains(d.Error(), says) {
			t.Errorf("%q does not say %q", d, says)
		}
	}
}

// TestFullPartThatGrew: only the last part of a series can have a tail. One
// that was full and is longer now was written to by somebody else.
func TestFullPartThatGrew(t *testing.T) {
	t.Parallel()
	s := newStory()
	dir := s.filled(t)
	edit(t, filepath.Join(dir, "parts", "results-00000.jsonl"), func(b []byte) []byte { return append(b, '\n') })
	wantDamaged(t, dir, s.o, "results-00000.jsonl")
}

// TestDamagedIndex: the index gone, empty, cut, or some other file.
func TestDamagedIndex(t *testing.T) {
	t.Parallel()
	s := newStory()
	filled := s.filled(t)
	for name, spoil := range map[string]func(string) error{
		"gone":    os.Remove,
		"empty":   func(path string) error { return os.Truncate(path, 0) },
		"one KiB": func(path string) error { return os.Truncate(path, 1024) },
		"a page":  func(path string) error { return os.Truncate(path, 4096) },
		"cut":     func(path string) error { return os.Truncate(path, 5*4096) },
		"text":    func(path string) error { return os.WriteFile(path, []byte(strings.Repeat("{}\n", 20000)), 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := copyDir(t, filled, filepath.Join(t.TempDir(), "sink"))
			if err := spoil(filepath.Join(dir, "index.db")); err != nil {
				t.Fatal(err)
			}
			for _, o := range []sink.FolderOptions{s.o, {ReadOnly: true}} {
				wantDamaged(t, dir, o, "index.db")
			}
			if _, err := os.Stat(filepath.Join(dir, "index.db")); name == "gone" && !errors.Is(err, os.ErrNotExist) {
				t.Fatalf("an index was made (%v)", err)
			}
		})
	}
}

// TestFlippedIndex flips bits all over the index. Either the folder is
// refused, or the flip changed nothing that is committed; and in no case does
// the process go down.
func TestFlippedIndex(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "sink")
	f := openClaimed(t, dir, sink.FolderOptions{PartBytes: 2000})
	var all []sink.Result
	for id := range 120 {
		all = append(all, sinktest.Result(chunk.ID(id), uint64(3*id), strings.Repeat("x", 100), 1, id%3, -(id%2)))
	}
	for len(all) > 0 && f.Summary().Chunks < 120 {
		commit(t, f, all[f.Summary().Chunks:f.Summary().Chunks+10]...)
	}
	grant, err := f.Claim(t.Context(), plan, "fetcher")
	if err != nil {
		t.Fatal(err)
	}
	finish(t, f, all...)
	closeIt(t, f)
	path := filepath.Join(dir, "index.db")
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const stride = 37 // 1 takes a minute, and passes
	records := func(f *sink.Folder) (all []sink.Record) {
		for r, err := range f.Records(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, r)
		}
		return all
	}
	f = openOn(t, sink.Disk{}, dir, sink.FolderOptions{ReadOnly: true})
	there, sum := records(f), f.Summary()
	closeIt(t, f)
	refused, fellBack := 0, 0
	for i := 0; i < len(good); i += stride {
		bad := good[i] ^ 1<<(i/stride%8)
		patch(t, path, i, bad)
		f, err := sink.OpenFolder(dir, job, sink.FolderOptions{ReadOnly: true})
		switch {
		case errors.Is(err, sink.ErrDamaged):
			refused++
		case err != nil:
			t.Fatalf("byte %d: %v", i, err)
		default:
			if !reflect.DeepEqual(records(f), there) {
				t.Fatalf("byte %d of index.db flipped, and opened: the records differ", i)
			}
			if string(f.Key()) != string(grant.Key) || f.Epoch() != 1 || f.Summary() != sum {
				t.Fatalf("byte %d of index.db flipped, and opened: the state differs", i)
			}
			if f.Recovered().FellBack {
				fellBack++
			}
			closeIt(t, f)
		}
		patch(t, path, i, good[i])
	}
	if refused < len(good)/stride/10 || fellBack == 0 {
		t.Errorf("%d flips were refused, %d fell back, of %d: are they seen?", refused, fellBack, len(good)/stride)
	}
}

func patch(t *testing.T, path string, at int, b byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte{b}, int64(at)); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}
