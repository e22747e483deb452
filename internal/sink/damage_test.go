package sink_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/sink/sinktest"
)

// filled returns a closed folder that holds the whole story.
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

// parts returns the names of the log's files, in order.
func parts(t *testing.T, dir string) (names []string) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "log-*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		names = append(names, filepath.Base(path))
	}
	return names
}

// TestTornTail cuts the last commit at many bytes, in turn with an index that does not cover it and without any, as a
// crash leaves it, and with other bytes than were written. Opening removes all of that commit and nothing else. The
// commit may begin a part.
func TestTornTail(t *testing.T) {
	t.Parallel()
	for _, o := range []sink.FolderOptions{{}, {PartBytes: 1}} {
		s := newStory()
		s.o = o
		dir := filepath.Join(t.TempDir(), "sink")
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

		names := parts(t, dir)
		part := names[len(names)-1]
		if o.PartBytes == 1 == (len(names) == len(parts(t, before))) {
			t.Fatalf("the last group is in the parts %v, before it there were %v", names, parts(t, before))
		}
		whole, from := read(t, filepath.Join(dir, part)), 0
		if info, err := os.Stat(filepath.Join(before, part)); err == nil {
			from = int(info.Size())
		}
		scratch := filepath.Join(t.TempDir(), "scratch")
		for end := from; end <= len(whole); end += max(1, min(5, len(whole)-end)) {
			for variant := range 4 {
				if between := end > from && end < len(whole); between && (end-from)/5%4 != variant {
					continue
				}
				copyDir(t, before, scratch)
				b := bytes.Clone(whole[:end])
				garbled := variant&1 == 1
				if garbled {
					clear(b[from:])
				}
				if variant&2 == 2 {
					if err := os.Remove(filepath.Join(scratch, "log.index")); err != nil {
						t.Fatal(err)
					}
				}
				if err := os.WriteFile(filepath.Join(scratch, part), b, 0o644); err != nil {
					t.Fatal(err)
				}
				f := openOn(t, newTestFS(), scratch, o) // its syncs take no time
				if end == len(whole) && !garbled {
					if got := f.Recovered(); got != 0 {
						t.Fatalf("the whole commit: recovered %d", got)
					}
					want(t, f, s.all...)
					closeIt(t, f)
					continue
				}
				if got := f.Recovered(); got != int64(end-from) {
					t.Fatalf("with %d bytes of the tail: recovered %d", end-from, got)
				}
				want(t, f, s.upTo(len(s.groups)-1)...)
				commit(t, f, last...)
				finish(t, f, s.all...)
				closeIt(t, f)
			}
		}
	}
}

// TestDamagedParts flips every byte of every part, cuts every part at many bytes, and removes each part. Opening
// refuses a cut; it refuses a flip, or reading the damaged record fails. All data that can be read is as written.
// Nothing on disk is changed.
func TestDamagedParts(t *testing.T) {
	t.Parallel()
	s := newStory()
	filled := s.filled(t)
	names := parts(t, filled)
	if len(names) < 4 {
		t.Fatalf("only %d parts", len(names))
	}
	for _, name := range names {
		for _, indexed := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, index %t", name, indexed), func(t *testing.T) {
				t.Parallel()
				dir := copyDir(t, filled, filepath.Join(t.TempDir(), "sink"))
				path := filepath.Join(dir, name)
				if !indexed {
					if name == names[len(names)-1] {
						return // nothing proves that the last commit was answered
					}
					if err := os.Remove(filepath.Join(dir, "log.index")); err != nil {
						t.Fatal(err)
					}
				}
				good := read(t, path)
				refused := 0
				for i := range good {
					bad := bytes.Clone(good)
					bad[i] ^= 1 << (i % 8)
					if s.wantSeen(t, dir, name, bad, fmt.Sprintf("byte %d flipped", i)) {
						refused++
					}
					if i%5 == 0 && !s.wantSeen(t, dir, name, good[:i], fmt.Sprintf("cut at %d", i)) {
						t.Fatalf("opened a log that was cut at %d, want an error", i)
					}
				}
				if !indexed && refused < len(good)/10 {
					t.Errorf("of %d flips %d are seen at opening", len(good), refused)
				}
				if err := os.Remove(path); err != nil {
					t.Fatal(err)
				}
				if d := wantDamaged(t, dir, s.o, name); d.Offset != -1 {
					t.Errorf("a part is missing, but the damage is reported at byte %d", d.Offset)
				}
				if err := os.WriteFile(path, good, 0o644); err != nil {
					t.Fatal(err)
				}
				want(t, openOn(t, newTestFS(), dir, s.o), s.all...)
			})
		}
	}
}

// wantSeen replaces the content of a part. Either opening or reading reports it, or everything is still there.
func (s story) wantSeen(t *testing.T, dir, name string, bad []byte, what string) (refused bool) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, bad, 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := sink.OpenFolderOn(newTestFS(), dir, job, sink.FolderOptions{ReadOnly: true})
	refused = err != nil
	if err == nil {
		for r, e := range f.Records(t.Context()) {
			if err = e; err == nil {
				_, err = f.Outputs(nil, r)
			}
			if err == nil {
				_, err = f.DeadLetters(nil, r)
			}
			if err != nil {
				break
			}
		}
		if err == nil { // damage in a record that the index covers completely
			want(t, f, s.all...)
		}
		closeIt(t, f)
	}
	var d *sink.DamageError
	switch {
	case err == nil:
	case !errors.As(err, &d) || filepath.Base(d.File) != name || d.Offset < 0 || !refused && !d.Known:
		t.Fatalf("%s: %v, want the damage, with file and byte, and the chunk if it is known", what, err)
	}
	if refused {
		if g, err := sink.OpenFolderOn(newTestFS(), dir, job, s.o); !errors.Is(err, sink.ErrDamaged) {
			if err == nil {
				closeIt(t, g)
			}
			t.Fatalf("%s: refused to read and, to write, %v", what, err)
		}
	}
	if !bytes.Equal(read(t, path), bad) {
		t.Fatalf("%s: the part was changed", what)
	}
	return refused
}

// TestDamageNamesChunkAndPlace: a person must know where to look.
func TestDamageNamesChunkAndPlace(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "sink")
	f := openClaimed(t, dir, sink.FolderOptions{})
	all := sinktest.Chain("", []int{1}, []int{1}, []int{1})
	commit(t, f, all...)
	closeIt(t, f)
	path := filepath.Join(dir, "log-00000")
	second := bytes.Index(read(t, path), all[1].Outputs)
	patch(t, path, second+3, 'X')
	f = openClaimed(t, dir, sink.FolderOptions{})
	_, err := f.Finish(t.Context(), 3, 3)
	var d *sink.DamageError
	if !errors.As(err, &d) || !d.Known || d.Chunk != 1 || d.Offset != int64(second) {
		t.Fatalf("damage is %+v, want chunk 1 at byte %d", d, second)
	}
	for _, says := range []string{"(chunk 1)", fmt.Sprint("byte ", second), "nothing was changed", path} {
		if !strings.Contains(d.Error(), says) {
			t.Errorf("the error is %q, want %q in it", d, says)
		}
	}
}

// TestFullPartThatGrew: only the last part can have a tail. If a full part has grown, another program has written to it.
func TestFullPartThatGrew(t *testing.T) {
	t.Parallel()
	s := newStory()
	dir := s.filled(t)
	edit(t, filepath.Join(dir, "log-00000"), func(b []byte) []byte { return append(b, '\n') })
	for range 2 {
		wantDamaged(t, dir, s.o, "log-00000")
		if err := os.RemoveAll(filepath.Join(dir, "log.index")); err != nil {
			t.Fatal(err)
		}
	}
}

// TestOtherLog: parts of another sink, or of an earlier state of this one, are not accepted.
func TestOtherLog(t *testing.T) {
	t.Parallel()
	s := newStory()
	dir, other := s.filled(t), s.filled(t)
	names := parts(t, dir)
	for _, name := range names[1 : len(names)-1] {
		scratch := copyDir(t, dir, filepath.Join(t.TempDir(), "sink"))
		edit(t, filepath.Join(scratch, name), func([]byte) []byte { return read(t, filepath.Join(other, name)) })
		if err := os.Remove(filepath.Join(scratch, "log.index")); err != nil {
			t.Fatal(err)
		}
		wantDamaged(t, scratch, s.o, name)
	}
	// An older copy of the log beside the current index, and the reverse.
	f := openClaimed(t, dir, s.o)
	if err := f.FenceVersion(t.Context(), "v1", 7); err != nil {
		t.Fatal(err)
	}
	closeIt(t, f)
	old := s.filled(t)
	edit(t, filepath.Join(old, "log.index"), func([]byte) []byte { return read(t, filepath.Join(dir, "log.index")) })
	names = parts(t, dir)
	d := wantDamaged(t, old, s.o, names[len(names)-1])
	if !strings.Contains(d.Error(), "remove log.index") {
		t.Errorf("%v has no hint about a log from a copy", d)
	}
}

// TestSpoiledLog: the first part is missing, empty, or some other file.
func TestSpoiledLog(t *testing.T) {
	t.Parallel()
	s := newStory()
	filled := s.filled(t)
	for name, spoil := range map[string]func(string) error{
		"gone":  os.Remove,
		"empty": func(path string) error { return os.Truncate(path, 0) },
		"cut":   func(path string) error { return os.Truncate(path, 50) },
		"text":  func(path string) error { return os.WriteFile(path, []byte(strings.Repeat("{}\n", 20000)), 0o600) },
	} {
		for _, indexed := range []bool{true, false} {
			dir := copyDir(t, filled, filepath.Join(t.TempDir(), "sink"))
			path := filepath.Join(dir, "log-00000")
			if err := spoil(path); err != nil {
				t.Fatal(err)
			}
			if !indexed {
				if err := os.Remove(filepath.Join(dir, "log.index")); err != nil {
					t.Fatal(err)
				}
			}
			for _, o := range []sink.FolderOptions{s.o, {ReadOnly: true}} {
				wantDamaged(t, dir, o, "log-00000")
			}
			if _, err := os.Stat(path); name == "gone" && !errors.Is(err, os.ErrNotExist) {
				t.Fatalf("a log was created (%v)", err)
			}
		}
	}
}

// TestSpoiledIndex flips bits all over the index, cuts it, and removes it. It is only a summary, so each time the folder
// opens with all its content.
func TestSpoiledIndex(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "sink")
	o := sink.FolderOptions{PartBytes: 2000}
	f := openClaimed(t, dir, o)
	var all []sink.Result
	for id := range 100 {
		whole := sinktest.Result(chunk.ID(id), uint64(3*id), strings.Repeat("x", 100), 1, id%3, -(id % 2))
		all = append(all, sinktest.Pieces(whole, 3-id%5/2)...) // of every five chunks, two whole and three in two pieces
	}
	for group := range slices.Chunk(all, 10) {
		commit(t, f, group...)
	}
	grant, err := f.Claim(t.Context(), plan, "fetcher")
	if err != nil {
		t.Fatal(err)
	}
	finish(t, f, all...)
	sum := f.Summary()
	closeIt(t, f)
	path := filepath.Join(dir, "log.index")
	good := read(t, path)
	opened := func(what string, content []byte) {
		t.Helper()
		if err := os.WriteFile(path, content, 0o644); err != nil {
			t.Fatal(err)
		}
		f, err := sink.OpenFolder(dir, "", sink.FolderOptions{ReadOnly: true})
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		n := 0
		for r, err := range f.Records(t.Context()) {
			if err != nil || n == len(all) || r.Chunk != all[n].Chunk || r.From != all[n].From || r.Objects != all[n].Objects {
				t.Fatalf("%s: piece %d is %+v, %v", what, n, r, err)
			}
			n++
		}
		if n != len(all) || string(f.Key()) != string(grant.Key) || f.Epoch() != 1 || f.Summary() != sum {
			t.Fatalf("%s: the state differs", what)
		}
		closeIt(t, f)
	}
	const stride = 67
	for i := 0; i < len(good); i += stride {
		bad := bytes.Clone(good)
		bad[i] ^= 1 << (i / stride % 8)
		opened(fmt.Sprintf("byte %d flipped", i), bad)
		opened(fmt.Sprintf("cut at %d", i), good[:i])
	}
	opened("text", []byte(strings.Repeat("{}\n", 20000)))
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	f = openOn(t, newTestFS(), dir, o)
	want(t, f, all...)
	closeIt(t, f)
	if got := read(t, path); len(got) == 0 {
		t.Error("the index was not created again")
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
