package chunk

import (
	"bytes"
	"errors"
	"io"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// feed returns a source of objects as NewCutter wants it; every object is in
// the same buffer, as with a scanner.
func feed(objects []string, last error) func() (Object, error) {
	var buffer []byte
	i := 0
	return func() (Object, error) {
		if i == len(objects) {
			return Object{}, last
		}
		text, flaw, _ := strings.Cut(objects[i], "!")
		buffer = append(buffer[:0], text...)
		i++
		return Object{Bytes: buffer, Flaw: flaw, Place: Place{Offset: int64(i - 1)}}, nil
	}
}

func cutAll(t interface {
	Helper()
	Fatalf(string, ...any)
}, c *Cutter) (chunks []Chunk, places []Place) {
	t.Helper()
	for {
		chunk, at, err := c.Next()
		if errors.Is(err, io.EOF) {
			return chunks, places
		} else if err != nil {
			t.Fatalf("cut: %v", err)
		}
		chunks, places = append(chunks, chunk), append(places, at)
	}
}

func TestCutter_bySize(t *testing.T) {
	t.Parallel()
	for n, want := range map[int][]int{0: nil, 1: {1}, 99: {99}, 100: {100}, 101: {100, 1}, 200: {100, 100}, 250: {100, 100, 50}} {
		objects := make([]string, n)
		for i := range objects {
			objects[i] = strconv.Itoa(i)
		}
		chunks, places := cutAll(t, NewCutter(Plan{Size: DefaultSize, Bytes: DefaultBytes}, 7, 1000, feed(objects, io.EOF)))
		var got []int
		first := 0
		for i, c := range chunks {
			got = append(got, c.Count)
			if c.ID != ID(7+i) || c.First != uint64(1000+first) || places[i].Offset != int64(first) || c.Bad != nil {
				t.Errorf("%d objects: chunk %d is ID %d, first %d, at %d, flaws %v; want ID %d, first %d, at %d, none",
					n, i, c.ID, c.First, places[i].Offset, c.Bad, 7+i, 1000+first, first)
			}
			if want := strings.Join(objects[first:first+c.Count], "\n") + "\n"; string(c.Body) != want {
				t.Errorf("%d objects: chunk %d has body %q, want %q", n, i, c.Body, want)
			}
			first += c.Count
		}
		if !slices.Equal(got, want) {
			t.Errorf("%d objects: chunks of %v, want %v", n, got, want)
		}
	}
}

func TestCutter_byBytes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		objects []string
		want    []string
	}{
		{"exactly full", []string{"1234", "1234", "1"}, []string{"1234\n1234\n", "1\n"}},
		{"one byte too many", []string{"1234", "12345", "1"}, []string{"1234\n", "12345\n1\n"}},
		{"too large: alone", []string{"1", "123456789012", "2", "3"}, []string{"1\n", "123456789012\n", "2\n3\n"}},
		{"too large at both ends", []string{"123456789012", "1234567890"}, []string{"123456789012\n", "1234567890\n"}},
		{"size comes first", []string{"1", "2", "3", "4"}, []string{"1\n2\n3\n", "4\n"}},
		{"empty objects", []string{"", "", "", ""}, []string{"\n\n\n", "\n"}},
	} {
		chunks, _ := cutAll(t, NewCutter(Plan{Size: 3, Bytes: 10}, 0, 0, feed(c.objects, io.EOF)))
		var got []string
		for _, chunk := range chunks {
			got = append(got, string(chunk.Body))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: bodies %q, want %q", c.name, got, c.want)
		}
	}
}

func TestCutter_flaws(t *testing.T) {
	t.Parallel()
	chunks, _ := cutAll(t, NewCutter(Plan{Size: 3, Bytes: 100}, 0, 0, feed([]string{"0", "1!a", "2!b", "3!c", "4"}, io.EOF)))
	want := [][]Flaw{{{1, "a"}, {2, "b"}}, {{0, "c"}}}
	for i, c := range chunks {
		if !slices.Equal(c.Bad, want[i]) {
			t.Errorf("chunk %d: flaws %v, want %v", i, c.Bad, want[i])
		}
	}
}

func TestCutter_error(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	c := NewCutter(Plan{Size: 2, Bytes: 100}, 0, 0, feed([]string{"1", "2", "3"}, broken))
	if chunk, _, err := c.Next(); err != nil || chunk.Count != 2 {
		t.Fatalf("first chunk: %d objects, %v, want 2", chunk.Count, err)
	}
	for range 2 { // the chunk that is not whole never comes
		if chunk, _, err := c.Next(); !errors.Is(err, broken) || chunk.Count != 0 {
			t.Errorf("after the error: %d objects, %v, want 0, %v", chunk.Count, err, broken)
		}
	}
}

func TestCutter_properties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		objects := rapid.SliceOfN(rapid.StringMatching(`[a-z]{0,12}(!x)?`), 0, 40).Draw(t, "objects")
		plan := Plan{Size: rapid.IntRange(1, 7).Draw(t, "size"), Bytes: rapid.IntRange(1, 40).Draw(t, "bytes")}
		chunks, places := cutAll(t, NewCutter(plan, 0, 0, feed(objects, io.EOF)))
		n := 0
		for i, c := range chunks {
			if c.ID != ID(i) || c.First != uint64(n) || c.Count < 1 || c.Count > plan.Size || c.Count > 1 && len(c.Body) > plan.Bytes {
				t.Fatalf("chunk %d: ID %d, first %d, %d objects in %d bytes", i, c.ID, c.First, c.Count, len(c.Body))
			}
			flaws := 0
			for index, object := range Objects(c.Body) {
				text, flaw, _ := strings.Cut(objects[n], "!")
				if index != n-int(c.First) || string(object) != text {
					t.Fatalf("chunk %d, object %d is %q, want %q", i, index, object, text)
				}
				if flaw != "" {
					if flaws == len(c.Bad) || c.Bad[flaws] != (Flaw{index, flaw}) {
						t.Fatalf("chunk %d has flaws %v, want one for object %d", i, c.Bad, index)
					}
					flaws++
				}
				n++
			}
			if flaws != len(c.Bad) || n != int(c.First)+c.Count {
				t.Fatalf("chunk %d: %d flaws and %d objects, want %d and %d", i, len(c.Bad), n-int(c.First), flaws, c.Count)
			}
			// Full: the next object would not have fitted.
			if last := i == len(chunks)-1; !last && c.Count < plan.Size {
				next, _, _ := strings.Cut(objects[n], "!")
				if len(c.Body)+len(next)+1 <= plan.Bytes {
					t.Fatalf("chunk %d of %d bytes ends before %q", i, len(c.Body), next)
				}
			}
			// Cutting from the chunk's place on gives the same chunk.
			again, _, err := NewCutter(plan, c.ID, c.First, feed(objects[places[i].Offset:], io.EOF)).Next()
			if err != nil || again.Digest() != c.Digest() || again.Count != c.Count || !slices.Equal(again.Bad, c.Bad) {
				t.Fatalf("chunk %d cut again: %+v, %v, want %+v", i, again, err, c)
			}
		}
		if n != len(objects) {
			t.Fatalf("%d objects in chunks, want %d", n, len(objects))
		}
	})
}

// endless is an array of objects in memory that does not grow.
type endless struct {
	block, rest []byte
	left        int // bytes to come
}

func newEndless(size int) *endless {
	element := `{"id":"d9428888-122b-11e1-b85c-61cd3cbb3210","name":"Grace Hopper","tags":["a","b",{"c":[]}]},`
	return &endless{block: []byte(strings.Repeat(element, 200)), rest: []byte("["), left: size}
}

func (e *endless) Read(b []byte) (int, error) {
	if len(e.rest) == 0 {
		if e.left <= 0 {
			return 0, io.EOF
		}
		e.rest = e.block
		e.left -= len(e.block)
		if e.left <= 0 {
			e.rest = append(bytes.TrimSuffix(e.block, []byte(",")), ']')
		}
	}
	n := copy(b, e.rest)
	e.rest = e.rest[n:]
	return n, nil
}

// Not parallel: it measures the memory of the process.
func TestCutter_flatMemory(t *testing.T) {
	size := 100 << 20
	if testing.Short() {
		size = 20 << 20
	}
	var before, now runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	s := NewScanner(newEndless(size), ScanOptions{})
	c := NewCutter(Plan{Size: DefaultSize, Bytes: DefaultBytes}, 0, 0, s.Next)
	var most, bodies uint64
	for {
		chunk, _, err := c.Next()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil || len(chunk.Bad) > 0 {
			t.Fatalf("chunk %d: %v, %v", chunk.ID, chunk.Bad, err)
		}
		bodies += uint64(len(chunk.Body))
		if chunk.ID%2000 == 0 {
			runtime.GC()
			runtime.ReadMemStats(&now)
			most = max(most, now.HeapAlloc-min(before.HeapAlloc, now.HeapAlloc))
		}
	}
	runtime.ReadMemStats(&now)
	t.Logf("%d bytes of bodies: %d bytes held at most, %d allocated", bodies, most, now.TotalAlloc-before.TotalAlloc)
	if bodies < uint64(size)*9/10 {
		t.Errorf("%d bytes in bodies, want about %d", bodies, size)
	}
	if limit := uint64(4 << 20); most > limit {
		t.Errorf("%d bytes held while cutting %d, want at most %d", most, size, limit)
	}
	if got, limit := now.TotalAlloc-before.TotalAlloc, bodies+bodies/4+8<<20; got > limit {
		t.Errorf("%d bytes allocated for bodies of %d, want at most %d", got, bodies, limit)
	}
}
