package sink_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/sink/sinktest"
)

// FuzzRecovery spoils the files of a folder in any way. Then the folder either opens with everything that was
// committed, or is refused and left unchanged. Damage in an opened folder is reported when it is read, and nothing
// panics. Only if no index covers the last commit may it be cut off, because nothing proves that it was answered. The
// input is a list of edits of 8 bytes each, see spoil.
func FuzzRecovery(f *testing.F) {
	var all []sink.Result
	for id := range 50 {
		all = append(all, sinktest.Pieces(sinktest.Result(chunk.ID(id), uint64(2*id), "", 1, id%3-1), 2-id/5%2)...)
	}
	folder := f.TempDir()
	func() {
		g, err := sink.OpenFolderOn(newTestFS(), folder, job, sink.FolderOptions{PartBytes: 1000})
		if err != nil {
			f.Fatal(err)
		}
		defer g.Close()
		if _, err := g.Claim(f.Context(), plan, "fetcher"); err != nil {
			f.Fatal(err)
		}
		for group := range slices.Chunk(all, 7) {
			if _, err := g.Commit(f.Context(), group); err != nil {
				f.Fatal(err)
			}
		}
	}()
	good := snapshot(f, folder)
	for file := range byte(6) {
		for op := range byte(5) {
			for _, at := range []uint32{0, 20, 4096 + 64, 1 << 31} {
				f.Add(binary.LittleEndian.AppendUint32([]byte{op, file, 1, 0x10}, at))
			}
		}
	}
	for longer := range byte(9) { // a tail that may be cut off, and damage elsewhere
		for flipped := range byte(9) {
			f.Add([]byte{3, longer, 5, 'x', 0, 0, 0, 0, 0, flipped, 1, 1, 20, 0, 0, 0})
		}
	}
	f.Fuzz(func(t *testing.T, edits []byte) {
		spoiled := maps.Clone(good)
		for edit := range slices.Chunk(edits[:min(len(edits), 64)], 8) {
			if len(edit) == 8 {
				spoil(spoiled, edit)
			}
		}
		dir := t.TempDir()
		for path, content := range spoiled {
			if err := os.WriteFile(filepath.Join(dir, path), content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		o := sink.FolderOptions{PartBytes: 1000}
		for _, o.ReadOnly = range []bool{true, false} {
			g, err := sink.OpenFolderOn(newTestFS(), dir, job, o)
			if err == nil {
				wantPrefix(t, g, all)
				closeIt(t, g)
			} else if !errors.Is(err, sink.ErrDamaged) {
				t.Fatalf("open: %v, want ErrDamaged", err)
			}
			if (err != nil || o.ReadOnly) && !equal(spoiled, snapshot(t, dir)) {
				t.Fatalf("opened with %v (read only: %t), and the folder has changed", err, o.ReadOnly)
			}
		}
	})
}

// wantPrefix: all readable data is as committed, and only the last groups of 7 may be missing; any other gap must be
// reported as damage.
func wantPrefix(t *testing.T, g *sink.Folder, all []sink.Result) {
	t.Helper()
	n, objects := 0, 0
	for r, err := range g.Records(t.Context()) {
		var outputs, dead []byte
		if err == nil {
			outputs, err = g.Outputs(nil, r)
		}
		if err == nil {
			dead, err = g.DeadLetters(nil, r)
		}
		if errors.Is(err, sink.ErrDamaged) {
			return
		}
		if err != nil || r.Chunk != all[n].Chunk || r.From != all[n].From || !bytes.Equal(outputs, all[n].Outputs) || !bytes.Equal(dead, all[n].Dead) {
			t.Fatalf("chunk %d is %+v with %q and %q (%v)", n, r, outputs, dead, err)
		}
		n++
		objects += r.Objects
	}
	if uint64(objects) != g.Summary().Objects || n%7 != 0 && n != len(all) {
		t.Fatalf("%d pieces, and the summary says %+v", n, g.Summary())
	}
}

// spoil applies one edit: operation, file, length or other file, value, offset. It works in memory and replaces contents
// instead of modifying them, because good shares them.
func spoil(files map[string][]byte, edit []byte) {
	paths := slices.Sorted(maps.Keys(files))
	path := paths[int(edit[1])%len(paths)]
	b := slices.Clone(files[path])
	n, value := int(edit[2]), edit[3]
	at := int(binary.LittleEndian.Uint32(edit[4:])) % (len(b) + 1)
	switch edit[0] % 6 {
	case 0: // flip bits
		for i := at; i < min(at+n, len(b)); i++ {
			b[i] ^= value
		}
	case 1: // set bytes
		for i := at; i < min(at+n, len(b)); i++ {
			b[i] = value
		}
	case 2:
		b = b[:at]
	case 3:
		b = append(b, bytes.Repeat([]byte{value}, n)...)
	case 4: // another file's content
		b = files[paths[n%len(paths)]]
	case 5:
		if path != "log-00000" || len(paths) > 1 { // an empty folder would be a new one
			delete(files, path)
		}
		return
	}
	files[path] = b
}

// snapshot returns all files with their content, by name. A sink has no folders.
func snapshot(t testing.TB, dir string) map[string][]byte {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string][]byte)
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all[e.Name()] = b
	}
	return all
}

func equal(a, b map[string][]byte) bool { return maps.EqualFunc(a, b, bytes.Equal) }
