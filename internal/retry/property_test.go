package retry_test

import (
	"flag"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"github.com/chunkline/chunkline/internal/retry"
)

// Each draw fills a sink and maps it twice, on a disk: a quarter of the usual 100 draws. make fuzz draws all.
func TestMain(m *testing.M) {
	if err := flag.Set("rapid.checks", "25"); err != nil {
		panic(err)
	}
	m.Run()
}

// TestModel: whatever fails and is fixed, the result is that of a job in which
// only what fails both times has failed. A second retry changes nothing but
// the count of attempts.
func TestModel(t *testing.T) {
	t.Parallel()
	root, n := t.TempDir(), 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		dir := filepath.Join(root, strconv.Itoa(n))
		if err := os.Mkdir(dir, 0o777); err != nil {
			t.Fatal(err)
		}
		w := &world{tester: t, dir: dir, objects: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) object {
			return object{
				flawed: rapid.IntRange(0, 5).Draw(t, "flawed") == 0,
				first:  rapid.Bool().Draw(t, "first"), again: rapid.Bool().Draw(t, "again"),
				n: rapid.IntRange(0, 3).Draw(t, "n"),
			}
		}), 1, 12).Draw(t, "objects")}
		if rapid.Bool().Draw(t, "in pieces") {
			w.cut = func(objects int) (lengths []int) {
				for left := objects; left > 0; left -= lengths[len(lengths)-1] {
					lengths = append(lengths, rapid.IntRange(1, left).Draw(t, "piece"))
				}
				return lengths
			}
		}
		w.fill(-1)
		workers := rapid.IntRange(1, 4).Draw(t, "workers")
		want := retry.Report{Merged: true}
		outputs := ""
		attempts := make(map[uint64]int) // of the dead, after the first retry
		for id, o := range w.objects {
			switch {
			case o.flawed:
				want.Unreadable++
				attempts[uint64(id)] = 0
			case o.first && o.again:
				want.Failed++
				attempts[uint64(id)] = 2
			default:
				outputs += o.outputs(id)
				if o.first {
					want.Mapped++
				}
			}
		}
		for again := range 2 {
			if got, err := w.retry(after, workers); err != nil || got != want {
				t.Fatalf("retry %d: got %+v, %v; want %+v", again, got, err, want)
			}
			if got := w.outputs(); got != outputs {
				t.Fatalf("retry %d: outputs %q, want %q", again, got, outputs)
			}
			letters := w.letters()
			if len(letters) != len(attempts) {
				t.Fatalf("retry %d: %d dead letters, want %d", again, len(letters), len(attempts))
			}
			for i, l := range letters {
				n, is := attempts[l.Ordinal]
				if n > 0 {
					n += again
				}
				if !is || l.Attempts != n || string(l.Object) != w.objects[l.Ordinal].line(int(l.Ordinal)) || i > 0 && letters[i-1].Ordinal >= l.Ordinal {
					t.Fatalf("retry %d: dead letter %+v, want attempts %d", again, l, n)
				}
			}
			w.verified()
			want.Mapped = 0
		}
	})
}
