package chunk

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"
)

// cutting is a stream and how it is cut.
type cutting struct {
	in     []byte
	format Format
	plan   Plan
	limit  int // of an object; 0: MaxObject
}

// from cuts the stream from a place on.
func (c cutting) from(t *testing.T, r io.Reader, id ID, first uint64, at Place) ([]Chunk, []Place) {
	t.Helper()
	s := NewScanner(r, ScanOptions{Format: c.format, At: at, Buffer: 32})
	if c.limit > 0 {
		s.max = c.limit
	}
	// A stream that cannot be cut to its end gives the same chunks for as far as
	// it can, and then the same error each time it is cut.
	cutter := NewCutter(c.plan, id, first, func() (Object, error) {
		o, err := s.Next()
		if _, ok := errors.AsType[*InputError](err); ok {
			return o, io.EOF
		}
		return o, err
	})
	return cutAll(t, cutter)
}

// FuzzCutter cuts any bytes from scanner to chunk. Every object is in one
// chunk, in its place, as it was, and marked if and only if it cannot be read;
// and cutting again, from any chunk on or from the output, gives the same.
func FuzzCutter(f *testing.F) {
	for i, v := range values {
		f.Add([]byte(v+"\n"+v+"\r\n1\n"), uint8(1), uint8(i%5), uint8(i), uint8(0))
		f.Add([]byte("[1,\n"+v+","+v+"]"), uint8(0), uint8(3), uint8(100), uint8(i%9))
		f.Add([]byte("1\n{\n \"a\": "+v+"\n}\n"+v+" "+v+"\n"), uint8(i%2*3), uint8(i%5), uint8(i), uint8(0))
		f.Add([]byte("\ufeff"+v+"\r\r\n["+v+"]\n\n\n2"), uint8(2), uint8(1), uint8(9), uint8(30))
	}
	f.Fuzz(func(t *testing.T, in []byte, format, size, most, limit uint8) {
		if len(in) > 4<<10 {
			return // the checks are quadratic
		}
		checkCutting(t, cutting{in, Format(format % 4), Plan{Size: 1 + int(size%10), Bytes: 1 + int(most)}, int(limit)})
	})
}

func checkCutting(t *testing.T, c cutting) {
	t.Helper()
	chunks, places := c.from(t, bytes.NewReader(c.in), 0, 0, Place{})
	objects := c.check(t, chunks)
	for i := range chunks {
		again, _ := c.from(t, iotest.HalfReader(bytes.NewReader(c.in[places[i].Offset:])), chunks[i].ID, chunks[i].First, places[i])
		same(t, "from "+string(c.in[places[i].Offset:]), again, chunks[i:])
	}
	if c.format == Lines && c.limit == 0 {
		c.checkLines(t, objects)
	}
	// The output is JSON Lines: cut again, it gives the same chunks. A byte order mark at its
	// beginning and a CR at the end of a line then no longer belong to the object.
	var out []byte
	for _, chunk := range chunks {
		out = append(out, chunk.Body...)
	}
	if !bytes.HasPrefix(out, mark) && !bytes.Contains(out, []byte("\r\n")) {
		again, _ := cutting{format: Lines, plan: c.plan}.from(t, bytes.NewReader(out), 0, 0, Place{})
		for i := range min(len(again), len(chunks)) {
			again[i].Bad = chunks[i].Bad // where they are and what is missing is not in the bytes
		}
		same(t, string(out), again, chunks)
	}
}

// check returns the objects of the chunks, and which of them are marked.
func (c cutting) check(t *testing.T, chunks []Chunk) (objects []Object) {
	t.Helper()
	for i, chunk := range chunks {
		if chunk.ID != ID(i) || chunk.First != uint64(len(objects)) || chunk.Count < 1 || chunk.Count > c.plan.Size {
			t.Fatalf("chunk %d has ID %d and %d objects from %d on, after %d objects", i, chunk.ID, chunk.Count, chunk.First, len(objects))
		}
		if chunk.Count > 1 && len(chunk.Body) > c.plan.Bytes {
			t.Fatalf("chunk %d has %d objects in %d bytes, more than %d", i, chunk.Count, len(chunk.Body), c.plan.Bytes)
		}
		if i > 0 && chunks[i-1].Count < c.plan.Size {
			first, _, _ := bytes.Cut(chunk.Body, newline)
			if len(chunks[i-1].Body)+len(first)+1 <= c.plan.Bytes {
				t.Fatalf("object %d is in chunk %d, but fits into the chunk before", len(objects), i)
			}
		}
		bad := chunk.Bad
		n := 0
		for index, object := range Objects(chunk.Body) {
			o := Object{Bytes: object}
			if len(bad) > 0 && bad[0].Index == index {
				o.Flaw, bad = bad[0].Reason, bad[1:]
			}
			if valid := json.Valid(object) && utf8.Valid(object); !valid && o.Flaw == "" {
				t.Fatalf("object %d has no flaw: %q", len(objects), object)
			}
			objects = append(objects, o)
			n++
		}
		if n != chunk.Count || len(bad) > 0 {
			t.Fatalf("chunk %d has %d lines and %d objects, and flaws of the unknown objects %v", i, n, chunk.Count, bad)
		}
	}
	return objects
}

// checkLines compares with what lines mean.
func (c cutting) checkLines(t *testing.T, objects []Object) {
	t.Helper()
	want := linesOf(c.in)
	last := linesOf(c.in[bytes.LastIndexByte(c.in, '\n')+1:])
	if len(last) == 1 && (!json.Valid([]byte(last[0])) || !utf8.ValidString(last[0])) {
		want = want[:len(want)-1] // it is torn
	}
	if len(objects) != len(want) {
		t.Fatalf("%d objects in %q, want %d", len(objects), c.in, len(want))
	}
	for i, o := range objects {
		if string(o.Bytes) != want[i] {
			t.Fatalf("object %d is %q, want %q", i, o.Bytes, want[i])
		}
		if valid := json.Valid(o.Bytes) && utf8.Valid(o.Bytes); valid != (o.Flaw == "") {
			t.Fatalf("object %d, valid: %t, has the flaw %q: %q", i, valid, o.Flaw, o.Bytes)
		}
	}
}

func same(t *testing.T, in string, got, want []Chunk) {
	t.Helper()
	equal := func(a, b Chunk) bool {
		return a.ID == b.ID && a.First == b.First && a.Count == b.Count && a.Digest() == b.Digest() && slices.Equal(a.Bad, b.Bad)
	}
	if !slices.EqualFunc(got, want, equal) {
		t.Fatalf("%q cut again:\n got %+v\nwant %+v", in, got, want)
	}
}

// TestCutter_errorsAreNotChunks: a stream that breaks off gives the chunks
// before, and never a part of one.
func TestCutter_errorsAreNotChunks(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	in := strings.Repeat("{\"a\":1}\n", 25)
	for cut := range len(in) {
		s := NewScanner(io.MultiReader(strings.NewReader(in[:cut]), iotest.ErrReader(broken)), ScanOptions{Buffer: 16})
		c := NewCutter(Plan{Size: 10, Bytes: 1000}, 0, 0, s.Next)
		n := 0
		for {
			chunk, _, err := c.Next()
			if err != nil {
				if !errors.Is(err, broken) || n != cut/80 {
					t.Fatalf("cut at %d: %d chunks, then %v; want %d", cut, n, err, cut/80)
				}
				break
			}
			if chunk.Count != 10 {
				t.Fatalf("cut at %d: a chunk of %d", cut, chunk.Count)
			}
			n++
		}
	}
}
