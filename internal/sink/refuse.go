package sink

import (
	"bytes"
	"encoding/json"
	"fmt"
	"iter"
	"slices"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/tabular"
)

// ByObject yields the index of each object of the result, and its outputs without line feeds.
func (r *Result) ByObject() iter.Seq2[int, [][]byte] {
	return func(yield func(int, [][]byte) bool) {
		left := r.Outputs
		for i, n := range r.Counts {
			outputs := make([][]byte, 0, n)
			for range n {
				var line []byte
				line, left, _ = bytes.Cut(left, []byte{'\n'})
				outputs = append(outputs, line)
			}
			if !yield(i, outputs) {
				return
			}
		}
	}
}

// Refuse turns objects whose outputs do not fit the sink into dead letters. reasons holds the reason for each of them,
// by its index. The old Outputs, Dead and Counts are replaced, not modified.
func (r *Result) Refuse(reasons map[int]string) error {
	letters, err := Letters(r.Dead)
	if err != nil {
		return err
	}
	counts := slices.Clone(r.Counts)
	var lines []byte
	for i, outputs := range r.ByObject() {
		reason, refused := reasons[i]
		if !refused {
			for _, line := range outputs {
				lines = append(append(lines, line...), '\n')
			}
			continue
		}
		d := chunk.DeadLetter{
			Ordinal: r.First + uint64(i), Chunk: r.Chunk, Error: reason, Attempts: max(1, r.Attempt), Mapper: r.Mapper, Version: r.Version, Outputs: outputs,
		}
		line := d.Append(nil)
		letters = append(letters, Letter{d.Ordinal, line[:len(line)-1]})
		counts[i] = 0
	}
	slices.SortFunc(letters, func(a, b Letter) int { return int(int64(a.Ordinal) - int64(b.Ordinal)) })
	r.Counts, r.Outputs, r.Dead, r.DeadCount = counts, lines, nil, len(letters)
	for _, l := range letters {
		r.Dead = append(append(r.Dead, l.Line...), '\n')
	}
	return nil
}

// A Letter is a dead letter as it is stored.
type Letter struct {
	Ordinal uint64
	Line    []byte // without line feed
}

// Letters splits dead letters. It decodes only their ordinals.
func Letters(dead []byte) ([]Letter, error) {
	var letters []Letter
	for _, line := range chunk.Objects(dead) {
		var l struct {
			Ordinal *uint64 `json:"ordinal"`
		}
		if err := json.Unmarshal(line, &l); err != nil || l.Ordinal == nil {
			return nil, fmt.Errorf("dead letter without an ordinal: %w", ErrInvalid)
		}
		letters = append(letters, Letter{*l.Ordinal, line})
	}
	return letters, nil
}

// Fit returns a result whose outputs can be rows of a table. Objects with other outputs become dead letters. Without a
// table, 0, everything fits.
func Fit(table tabular.Format, r Result) (Result, error) {
	if table == 0 {
		return r, nil
	}
	reasons := map[int]string{}
	var object tabular.Object
	for i, outputs := range r.ByObject() {
		for _, line := range outputs {
			if err := object.Parse(line); err != nil {
				reasons[i] = err.Error()
				break
			}
		}
	}
	if len(reasons) == 0 {
		return r, nil
	}
	err := r.Refuse(reasons)
	return r, err
}
