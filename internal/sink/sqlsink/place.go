package sqlsink

import (
	"context"
	"fmt"
	"slices"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/sink"
)

// A placer inserts outputs into their table, and removes them.
type placer interface {
	put(ctx context.Context, t *tx, objects []object) error
	take(ctx context.Context, t *tx, objects []object) error
}

// A tablePlacer is the placer of a table of the user. Its take finds the rows by their key (see table.canTake).
type tablePlacer interface {
	placer

	// probe checks the insert statement of a mode, without inserting a row.
	probe(ctx context.Context, from querier, mode string) error
}

// A refusal is an object whose outputs do not fit their table.
type refusal struct {
	object
	reason string
	lacks  bool // one of its rows refers to a row that is missing
}

// place inserts objects into the table, all outputs of an object or none, and returns those that do not fit. It inserts
// them in one step; if that fails, it bisects them to find those that the database refuses.
func (s *Sink) place(ctx context.Context, t *tx, objects []object) ([]refusal, error) {
	var refused []refusal
	if s.table != nil {
		objects = slices.DeleteFunc(slices.Clone(objects), func(o object) bool {
			other := slices.ContainsFunc(o.outputs, func(output []byte) bool { return !isObject(output) })
			if other {
				refused = append(refused, refusal{object: o, reason: fmt.Sprintf("table %s: output is not a JSON object", s.table.name)})
			}
			return other
		})
	}
	more, err := s.halve(ctx, t, objects)
	if err != nil {
		return nil, err
	}
	more, err = s.placeAgain(ctx, t, more)
	return append(refused, more...), err
}

// placeAgain inserts the refused objects again whose rows refer to a row that was missing: halving may have inserted
// them before the object that makes that row. It repeats this while at least half of them fit, so it costs at most
// about twice as much as the halving.
func (s *Sink) placeAgain(ctx context.Context, t *tx, refused []refusal) ([]refusal, error) {
	for {
		var lacking []object
		rest := slices.DeleteFunc(slices.Clone(refused), func(r refusal) bool {
			if r.lacks {
				lacking = append(lacking, r.object)
			}
			return r.lacks
		})
		if len(lacking) == 0 {
			return refused, nil
		}
		still, err := s.halve(ctx, t, lacking)
		if err != nil {
			return nil, err
		}
		refused = slices.Concat(rest, still)
		if len(still) > len(lacking)/2 {
			return refused, nil
		}
	}
}

// isObject reports whether an output is one JSON object. PostgreSQL gets all outputs as one array, in which two values
// after each other would be two rows.
func isObject(output []byte) bool {
	begin := chunk.SkipBlanks(output, 0)
	if begin == len(output) || output[begin] != '{' {
		return false
	}
	end := chunk.ValueEnd(output, begin, chunk.MaxDepth)
	return end >= 0 && chunk.SkipBlanks(output, end) == len(output)
}

func (s *Sink) halve(ctx context.Context, t *tx, objects []object) ([]refusal, error) {
	if len(objects) == 0 {
		return nil, nil
	}
	err := t.within(ctx, func() error { return s.placer.put(ctx, t, objects) })
	switch {
	case err == nil:
		return nil, nil
	case s.dialect.classify(err) != misfit:
		return nil, err
	case len(objects) == 1:
		return []refusal{{
			object: objects[0], reason: fmt.Sprintf("table %s: %s", s.outputTable(), s.dialect.reason(err)), lacks: s.dialect.lacksRow(err),
		}}, nil
	}
	half := len(objects) / 2
	refused, err := s.halve(ctx, t, objects[:half])
	if err != nil {
		return nil, err
	}
	more, err := s.halve(ctx, t, objects[half:])
	return append(refused, more...), err
}

// deadLetter turns refused objects into dead letters of the results they belong to.
func deadLetter(refused []refusal) error {
	of := map[*sink.Result]map[int]string{}
	for _, r := range refused {
		if of[r.result] == nil {
			of[r.result] = map[int]string{}
		}
		of[r.result][r.index] = r.reason
	}
	for r, reasons := range of {
		if err := r.Refuse(reasons); err != nil {
			return err
		}
	}
	return nil
}

// ownOutputs is chunkline's own table outputs.
type ownOutputs struct {
	job     string
	dialect dialect
}

func (w ownOutputs) put(ctx context.Context, t *tx, objects []object) error {
	var rows [][]any
	for _, o := range objects {
		for part, line := range o.outputs {
			rows = append(rows, []any{w.job, int64(o.ordinal()), int64(part), string(line)})
		}
	}
	return w.dialect.insert(ctx, t, "outputs", []string{"job", "ordinal", "part", "value"}, rows)
}

func (w ownOutputs) take(ctx context.Context, t *tx, objects []object) error {
	for i := 0; i < len(objects); { // one statement for consecutive objects
		end := i + 1
		for end < len(objects) && objects[end].ordinal() == objects[end-1].ordinal()+1 {
			end++
		}
		_, err := t.exec(ctx, "DELETE FROM outputs WHERE job = $1 AND ordinal >= $2 AND ordinal <= $3", w.job, int64(objects[i].ordinal()), int64(objects[end-1].ordinal()))
		if err != nil {
			return fmt.Errorf("remove outputs: %w", err)
		}
		i = end
	}
	return nil
}
