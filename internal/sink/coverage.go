package sink

import "slices"

// coverage collects the ranges of one part file and notices when two of them
// overlap. Ranges that touch become one, so it stays short as long as chunks
// lie about in the order of their IDs.
type coverage []span

type span struct{ from, to int64 } // from <= byte < to

// add says whether [from, to) overlaps nothing that was added before.
func (c *coverage) add(from, to int64) bool {
	s := *c
	i := len(s) // the first span behind from
	if i > 0 && s[i-1].from >= from {
		i, _ = slices.BinarySearchFunc(s, from, func(a span, at int64) int {
			switch {
			case a.from < at:
				return -1
			case a.from > at:
				return 1
			}
			return 0
		})
	}
	if i > 0 && s[i-1].to > from || i < len(s) && s[i].from < to {
		return false
	}
	left := i > 0 && s[i-1].to == from
	right := i < len(s) && s[i].from == to
	switch {
	case left && right:
		s[i-1].to = s[i].to
		*c = slices.Delete(s, i, i+1)
	case left:
		s[i-1].to = to
	case right:
		s[i].from = from
	default:
		*c = slices.Insert(s, i, span{from, to})
	}
	return true
}

// bytes is the sum of all ranges.
func (c coverage) bytes() int64 {
	var n int64
	for _, s := range c {
		n += s.to - s.from
	}
	return n
}
