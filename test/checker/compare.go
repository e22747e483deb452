package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"iter"
)

// report is the result of a check. Each list holds the first few findings of its kind and
// their total number.
type report struct {
	Objects int      `json:"objects"`
	Outputs int      `json:"outputs"`
	Dead    deadList `json:"dead"`

	Lost       findings `json:"lost"`       // neither in the output nor a dead letter
	Duplicated findings `json:"duplicated"` // in the output more often than in the source, or also a dead letter
	Invented   findings `json:"invented"`   // in the output, and made from no object
	Altered    findings `json:"altered"`    // a dead letter that does not hold the object as it was
	Disordered findings `json:"disordered"` // complete, but not in the order of the source
	NotDead    findings `json:"not_dead"`   // should be a dead letter, and is not
}

type deadList struct {
	Count    int      `json:"count"`
	Unwanted findings `json:"unwanted"` // a dead letter, and should not be
}

type findings struct {
	Count int      `json:"count"`
	First []string `json:"first,omitempty"`
}

// note adds a finding to one of the report's lists.
func (*report) note(f *findings, format string, args ...any) {
	const most = 10
	if f.Count++; len(f.First) < most {
		f.First = append(f.First, fmt.Sprintf(format, args...))
	}
}

func (r *report) kept() bool {
	return r.Lost.Count+r.Duplicated.Count+r.Invented.Count+r.Altered.Count+r.Disordered.Count+r.NotDead.Count+r.Dead.Unwanted.Count == 0
}

// compare reads source and output side by side. The output must be in the order of the
// source, so while the lines match, nothing is lost, doubled or invented. At the first
// line that does not match, compare starts counting by content.
func compare(source, output string, letters map[int]letter, t struct{ expect, read func([]byte) ([]byte, error) }) (report, error) {
	r := report{Dead: deadList{Count: len(letters)}}
	nextOutput, stop := iter.Pull2(lines(output))
	defer stop()
	inOrder := true
	for object, err := range lines(source) {
		if err != nil {
			return r, err
		}
		ordinal := r.Objects
		r.Objects++
		if l, dead := letters[ordinal]; dead {
			got, err := l.bytes()
			if err != nil || !bytes.Equal(got, object) {
				r.note(&r.Altered, "object %d: the letter holds %.200q, the source %.200q", ordinal, got, object)
			}
			continue
		}
		want, err := t.expect(object)
		if err != nil {
			r.note(&r.Lost, "object %d cannot be mapped (%v), and is not dead: %.200q", ordinal, err, object)
			inOrder = false
			continue
		}
		if !inOrder {
			continue
		}
		line, err, more := nextOutput()
		if more && err != nil {
			return r, err
		}
		r.Outputs++
		got, err := t.read(line)
		inOrder = more && err == nil && bytes.Equal(want, got)
	}
	for ordinal := range letters {
		if ordinal < 0 || ordinal >= r.Objects {
			r.note(&r.Invented, "dead letter of object %d; the source has %d", ordinal, r.Objects)
		}
	}
	if _, _, more := nextOutput(); inOrder && !more {
		return r, nil
	}
	return r, r.count(source, output, letters, t)
}

// count compares by content: the lines that the source must give, minus the lines of the
// output.
func (r *report) count(source, output string, letters map[int]letter, t struct{ expect, read func([]byte) ([]byte, error) }) error {
	type sum [sha256.Size]byte
	due := map[sum]int{}    // how often a line is missing from the output
	known := map[sum]bool{} // lines that some object gives
	ordinal := -1
	for object, err := range lines(source) {
		if err != nil {
			return err
		}
		ordinal++
		want, err := t.expect(object)
		if err != nil {
			continue
		}
		known[sha256.Sum256(want)] = true
		if _, dead := letters[ordinal]; !dead {
			due[sha256.Sum256(want)]++
		}
	}
	r.Outputs = 0
	for line, err := range lines(output) {
		if err != nil {
			return err
		}
		r.Outputs++
		got, err := t.read(line)
		switch id := sha256.Sum256(got); {
		case err != nil || !known[id]:
			r.note(&r.Invented, "line %d: %.200q", r.Outputs, line)
		case due[id] == 0:
			r.note(&r.Duplicated, "line %d: %.200q", r.Outputs, line)
		default:
			due[id]--
		}
	}
	ordinal = -1
	for object, err := range lines(source) {
		if err != nil {
			return err
		}
		ordinal++
		if _, dead := letters[ordinal]; dead {
			continue
		}
		if want, err := t.expect(object); err == nil && due[sha256.Sum256(want)] > 0 {
			due[sha256.Sum256(want)]--
			r.note(&r.Lost, "object %d: %.200q", ordinal, object)
		}
	}
	if r.kept() {
		r.note(&r.Disordered, "every line is there once, in another order")
	}
	return nil
}
