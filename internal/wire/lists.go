package wire

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// ranges is a set of at most most numbers, written as "1-5,9". Reading returns them in ascending order, each once.
func ranges[T ~uint64](f *fields, key string, v *[]T, most int, p presence) {
	f.field(key, p, len(*v) == 0, func() string { return writeRanges(*v) }, func(s string) (err error) {
		*v, err = readRanges[T](s, most)
		return err
	})
}

func writeRanges[T ~uint64](set []T) string {
	if !slices.IsSorted(set) {
		set = slices.Sorted(slices.Values(set))
	}
	var text []byte
	for i := 0; i < len(set); {
		first, last := set[i], set[i]
		for i++; i < len(set) && set[i]-last <= 1; i++ {
			last = set[i]
		}
		if len(text) > 0 {
			text = append(text, ',')
		}
		text = strconv.AppendUint(text, uint64(first), 10)
		if last > first {
			text = strconv.AppendUint(append(text, '-'), uint64(last), 10)
		}
	}
	return string(text)
}

func readRanges[T ~uint64](text string, most int) ([]T, error) {
	var set []T
	next := uint64(0) // the smallest number that may follow
	for item := range strings.SplitSeq(text, ",") {
		first, last, err := parseRange(item, maxID)
		switch {
		case err != nil:
			return nil, err
		case first < next:
			return nil, fmt.Errorf("%.40q: numbers do not ascend", item)
		case last-first >= uint64(most-len(set)):
			return nil, fmt.Errorf("more than %d numbers", most)
		}
		next = last + 1
		for n := first; n <= last; n++ {
			set = append(set, T(n))
		}
	}
	return set, nil
}

// parseRange parses "low-high", both inclusive and at most most, or "low", a range of one number.
func parseRange(text string, most uint64) (first, last uint64, err error) {
	low, high, isRange := strings.Cut(text, "-")
	if first, err = parseUint(low, most); err != nil || !isRange {
		return first, first, err
	}
	if last, err = parseUint(high, most); err == nil && last < first {
		err = fmt.Errorf("%.40q: numbers do not ascend", text)
	}
	return first, last, err
}

// writeCounts writes the number of outputs of each object, run-length encoded: "1x57,0,2" is 57 times 1, then 0, then
// 2.
func writeCounts(counts []int) string {
	var text []byte
	for i := 0; i < len(counts); {
		count, run := counts[i], 0
		for ; i < len(counts) && counts[i] == count; i++ {
			run++
		}
		if len(text) > 0 {
			text = append(text, ',')
		}
		text = strconv.AppendInt(text, int64(count), 10)
		if run > 1 {
			text = strconv.AppendInt(append(text, 'x'), int64(run), 10)
		}
	}
	return string(text)
}

func readCounts(text string, n int) ([]int, error) {
	counts := make([]int, 0, n)
	for item := range strings.SplitSeq(text, ",") {
		value, times, isRun := strings.Cut(item, "x")
		count, err := parseUint(value, MaxMessage) // each output is at least its line break
		if err != nil {
			return nil, err
		}
		run := uint64(1)
		if isRun {
			if run, err = parseUint(times, uint64(n)); err != nil {
				return nil, err
			}
		}
		if run > uint64(n-len(counts)) {
			return nil, fmt.Errorf("counts for more than %d objects", n)
		}
		for range run {
			counts = append(counts, int(count))
		}
	}
	if len(counts) != n {
		return nil, fmt.Errorf("counts for %d objects, want %d", len(counts), n)
	}
	return counts, nil
}
