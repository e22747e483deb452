package chunk

import (
	"cmp"
	"testing"

	"pgregory.net/rapid"
)

func TestPiece(t *testing.T) {
	t.Parallel()
	p := Piece{Chunk: 18, From: 10, To: 50}
	if got := p.String(); got != "18[10,50)" {
		t.Errorf("String is %q", got)
	}
	if got := p.Len(); got != 40 {
		t.Errorf("Len is %d, want 40", got)
	}
	if got, want := Whole(18, 50), (Piece{Chunk: 18, From: 0, To: 50}); got != want {
		t.Errorf("Whole is %v, want %v", got, want)
	}
	for _, bad := range []Piece{{To: 0}, {From: 3, To: 3}, {From: 4, To: 3}, {From: -1, To: 3}, {From: 9, To: 11}} {
		if bad.Fits(10) {
			t.Errorf("%v fits into 10 objects", bad)
		}
	}
	if whole := Whole(1, 10); !whole.Fits(10) || whole.Fits(9) {
		t.Errorf("%v fits into 10 objects: %t, into 9: %t", whole, whole.Fits(10), whole.Fits(9))
	}
}

// TestPieceIsASet: the methods of a piece agree with those of the set of its objects.
func TestPieceIsASet(t *testing.T) {
	t.Parallel()
	const objects = 6
	rapid.Check(t, func(t *rapid.T) {
		draw := func(name string) Piece {
			from := rapid.IntRange(0, objects-1).Draw(t, name+" from")
			return Piece{
				Chunk: ID(rapid.IntRange(0, 1).Draw(t, name+" chunk")), From: from, To: rapid.IntRange(from+1, objects).Draw(t, name+" to"),
			}
		}
		a, b := draw("a"), draw("b")
		size, common, rest := 0, 0, 0
		for i := range objects {
			inA, inB := a.Has(i), b.Chunk == a.Chunk && b.Has(i)
			if inA {
				size++
			}
			if inA && inB {
				common++
			}
			if !inA && b.Has(i) || b.Chunk != a.Chunk {
				rest++
			}
		}
		if a.Len() != size || a.Overlaps(b) != (common > 0) || a.Contains(b) != (rest == 0) {
			t.Fatalf("%v, %v: Len %d, want %d; Overlaps %t with %d in common; Contains %t with %d left",
				a, b, a.Len(), size, a.Overlaps(b), common, a.Contains(b), rest)
		}
		want := cmp.Compare(a.Chunk, b.Chunk)
		if want == 0 {
			want = cmp.Compare(a.From*100+a.To, b.From*100+b.To)
		}
		if got := a.Compare(b); got != want || b.Compare(a) != -want {
			t.Fatalf("%v, %v: Compare is %d and %d, want %d and %d", a, b, got, b.Compare(a), want, -want)
		}
	})
}
