package verify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/source"
)

// maxProblems is how many problems are described; all are counted.
const maxProblems = 20

// A Report is the result of a verification.
type Report struct {
	Chunks     uint64   `json:"chunks"`
	Objects    uint64   `json:"objects"` // in the source
	Outputs    uint64   `json:"outputs"`
	Dead       uint64   `json:"dead"`
	Made       []Made   `json:"made"`                  // by version of the mappers, sorted by name
	Failures   uint64   `json:"failures"`              // number of problems found
	Problems   []string `json:"problems"`              // the first 20
	OutputFile string   `json:"output_file,omitempty"` // the file that was compared byte by byte, or value by value
	DeadFile   string   `json:"dead_file,omitempty"`
}

// Made counts the results of one version of mappers.
type Made struct {
	Version   string `json:"version"`
	Transform string `json:"transform"` // "" if unknown
	Chunks    uint64 `json:"chunks"`    // of which it made all, or some objects
	Outputs   uint64 `json:"outputs"`
	Dead      uint64 `json:"dead"`
}

// OK reports whether the result is complete and correct.
func (r *Report) OK() bool { return r.Failures == 0 }

func (r *Report) problem(format string, args ...any) {
	r.Failures++
	if len(r.Problems) < maxProblems {
		r.Problems = append(r.Problems, fmt.Sprintf(format, args...))
	}
}

// A Sink has the methods of a sink that Run needs.
type Sink interface {
	Records(ctx context.Context) iter.Seq2[sink.Record, error]
	Outputs(b []byte, r sink.Record) ([]byte, error)
	DeadLetters(b []byte, r sink.Record) ([]byte, error)
	Summary() sink.Summary
	Transforms() map[string]string
}

// Run compares src, cut by the folder's plan, with the folder. The report lists the problems; an error means that the
// source or the folder could not be read.
func Run(ctx context.Context, src source.Source, folder Sink) (Report, error) {
	v := &verifier{
		folder: folder, report: Report{Problems: []string{}, Made: []Made{}}, counted: map[string]chunk.ID{}, output: noFile{}, dead: noFile{},
	}
	if err := v.openFiles(ctx); err != nil {
		return Report{}, err
	}
	defer func() {
		v.output.close()
		v.dead.close()
	}()
	next, stop := iter.Pull2(folder.Records(ctx))
	defer stop()
	if err := v.compare(ctx, src, next); err != nil {
		return v.report, err
	}
	v.output.end(&v.report)
	v.dead.end(&v.report)
	return v.report, nil
}

type verifier struct {
	folder       Sink
	record       sink.Record // the next one, if there are more
	more         bool
	report       Report
	counted      map[string]chunk.ID // by version: the last chunk that Made counts
	output, dead file
	lines        []byte // reused, as is deadLines
	deadLines    []byte
}

// openFiles opens the output files if the job was finished.
func (v *verifier) openFiles(ctx context.Context) error {
	summary := v.folder.Summary()
	if summary.Output == "" {
		v.report.problem("the job is not finished, or wrote its output elsewhere")
	}
	if summary.Output == sink.NoOutput { // there is no file to compare
		summary.Output = ""
	}
	v.report.OutputFile, v.report.DeadFile = summary.Output, summary.DeadFile
	if folder, parts := v.folder.(partsSink); parts {
		v.output = openParts(ctx, folder, summary.Output, false)
		v.dead = openParts(ctx, folder, summary.DeadFile, true)
		return nil
	}
	folder, files := v.folder.(*sink.Folder)
	if !files { // the outputs are where the records have them
		return nil
	}
	var err error
	if v.output, err = openFile(&v.report, summary.Output); err != nil {
		return err
	}
	if v.dead, err = openFile(&v.report, summary.DeadFile); err != nil {
		return err
	}
	if _, rows := v.output.(*parquetFile); rows {
		return checkSum(&v.report, folder)
	}
	return nil
}

// compare reads source and records side by side, both in the order of the IDs.
func (v *verifier) compare(ctx context.Context, src source.Source, next func() (sink.Record, error, bool)) error {
	if err := v.advance(next); err != nil {
		return err
	}
	for {
		c, _, err := src.Next(ctx)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("read source: %w", err)
		}
		v.report.Chunks++
		v.report.Objects += uint64(c.Count)
		if !v.more || v.record.Chunk > c.ID {
			v.report.problem("chunk %d (objects %d to %d) is not in the sink", c.ID, c.First, c.First+uint64(c.Count)-1)
			continue
		}
		if err := v.chunk(c, next); err != nil {
			return err
		}
	}
	for v.more {
		id := v.record.Chunk
		v.report.problem("chunk %d is in the sink, but the source has no such chunk", id)
		for v.more && v.record.Chunk == id {
			if _, err := v.bodies(v.record); err != nil {
				return err
			}
			if err := v.advance(next); err != nil {
				return err
			}
		}
	}
	return nil
}

// advance reads the next record.
func (v *verifier) advance(next func() (sink.Record, error, bool)) (err error) {
	if v.record, err, v.more = next(); err != nil {
		return fmt.Errorf("read sink: %w", err)
	}
	return nil
}

// chunk compares one chunk of the source with its records, one for each piece. They must have each object of the chunk,
// once.
func (v *verifier) chunk(c chunk.Chunk, next func() (sink.Record, error, bool)) error {
	digest, changed := c.Digest(), false
	at, misplaced := 0, false // at: the object that the next piece must begin with
	missing := func(to int) {
		if at < to && !misplaced {
			v.report.problem("chunk %d: objects %d to %d are not in the sink", c.ID, c.First+uint64(at), c.First+uint64(to)-1)
		}
	}
	for v.more && v.record.Chunk == c.ID {
		r := v.record
		same := r.Of == c.Count && r.First == c.First+uint64(r.From)
		if !same && !misplaced {
			misplaced = true
			first := r.First - uint64(r.From)
			v.report.problem("chunk %d: the sink has objects %d to %d, the source has %d to %d", c.ID,
				first, first+uint64(r.Of)-1, c.First, c.First+uint64(c.Count)-1)
		}
		if same && r.Digest != digest && !changed {
			changed = true
			v.report.problem("chunk %d: the sink has digest %s, the source has %s", c.ID, r.Digest, digest)
		}
		missing(r.From)
		if r.From < at && !misplaced {
			v.report.problem("chunk %d: object %d is in the sink twice", c.ID, r.First)
		}
		at = max(at, r.From+r.Objects)
		if err := v.piece(c, r, same); err != nil {
			return err
		}
		if err := v.advance(next); err != nil {
			return err
		}
	}
	missing(c.Count)
	return nil
}

// piece compares a piece of a chunk of the source with its record.
func (v *verifier) piece(c chunk.Chunk, r sink.Record, same bool) error {
	if same {
		c = c.Part(chunk.Piece{Chunk: c.ID, From: r.From, To: r.From + r.Objects})
	}
	read, err := v.bodies(r)
	if err == nil && same && read {
		v.letters(c, r, v.deadLines)
	}
	return err
}

// name returns the name of a piece in a problem.
func name(r sink.Record) string {
	if r.Objects == r.Of {
		return fmt.Sprintf("chunk %d", r.Chunk)
	}
	return fmt.Sprintf("chunk %d, objects %d to %d", r.Chunk, r.First, r.First+uint64(r.Objects)-1)
}

// bodies reads the outputs and dead letters of a record and compares them with the output files, which must contain
// them whatever the source is now. It returns whether the dead letters, now in deadLines, could be read.
func (v *verifier) bodies(r sink.Record) (bool, error) {
	var err error
	v.report.Outputs += r.OutputCount()
	v.count(r)
	if v.lines, err = v.folder.Outputs(v.lines[:0], r); err == nil {
		if got, want := uint64(bytes.Count(v.lines, []byte{'\n'})), r.OutputCount(); got != want {
			v.report.problem("%s: has %d output lines, but its record says %d", name(r), got, want)
		}
		v.output.expect(&v.report, v.lines)
	} else if err := v.damaged(r, err); err != nil {
		return false, err
	} else {
		v.output.skip(&v.report, r.Outputs.Length, r.OutputCount())
	}
	if v.deadLines, err = v.folder.DeadLetters(v.deadLines[:0], r); err == nil {
		v.dead.expect(&v.report, v.deadLines)
		return true, nil
	}
	v.dead.skip(&v.report, r.Dead.Length, uint64(r.DeadCount))
	return false, v.damaged(r, err)
}

// count adds a record to the counts of its version.
func (v *verifier) count(r sink.Record) {
	i, known := slices.BinarySearchFunc(v.report.Made, r.Version, func(m Made, version string) int { return strings.Compare(m.Version, version) })
	if !known {
		v.report.Made = slices.Insert(v.report.Made, i, Made{Version: r.Version, Transform: v.folder.Transforms()[r.Version]})
	}
	m := &v.report.Made[i]
	if last, ok := v.counted[r.Version]; !ok || last != r.Chunk {
		v.counted[r.Version] = r.Chunk
		m.Chunks++
	}
	m.Outputs += r.OutputCount()
	m.Dead += uint64(r.DeadCount)
}

// damaged reports damage as a problem and returns any other error.
func (v *verifier) damaged(r sink.Record, err error) error {
	if !errors.Is(err, sink.ErrDamaged) {
		return fmt.Errorf("read sink: %s: %w", name(r), err)
	}
	v.report.problem("%s: %v", name(r), err)
	return nil
}

// letters checks the dead letters of c, a chunk or a piece of one. Each must be one of its objects, none may be there
// twice or have an output, and each object that no transform can read must have one.
func (v *verifier) letters(c chunk.Chunk, r sink.Record, lines []byte) {
	objects := make([][]byte, 0, c.Count)
	for _, object := range chunk.Objects(c.Body) {
		objects = append(objects, object)
	}
	count := 0
	seen := make(map[uint64]bool, r.DeadCount)
	for _, line := range chunk.Objects(lines) {
		count++
		letter, err := chunk.ParseDeadLetter(line)
		if err != nil {
			v.report.problem("%s: %v", name(r), err)
			continue
		}
		switch at := letter.Ordinal - c.First; {
		case letter.Ordinal < c.First || at >= uint64(c.Count):
			v.report.problem("%s: has a dead letter of object %d, which does not belong to it", name(r), letter.Ordinal)
		case letter.Chunk != c.ID:
			v.report.problem("object %d: its dead letter says chunk %d, but it is in chunk %d", letter.Ordinal, letter.Chunk, c.ID)
		case seen[letter.Ordinal]:
			v.report.problem("object %d has two dead letters", letter.Ordinal)
		case len(letter.Outputs) == 0 && !bytes.Equal(letter.Object, objects[at]): // one that the sink refused has no object
			v.report.problem("object %d: its dead letter holds another object", letter.Ordinal)
		case r.Counts[at] != 0:
			v.report.problem("object %d has a dead letter and %d outputs", letter.Ordinal, r.Counts[at])
		default:
			v.report.Dead++
		}
		seen[letter.Ordinal] = true
	}
	if count != r.DeadCount {
		v.report.problem("%s: has %d dead letters, but its record says %d", name(r), count, r.DeadCount)
	}
	for _, flaw := range c.Bad {
		if ordinal := c.First + uint64(flaw.Index-r.From); !seen[ordinal] {
			v.report.problem("object %d cannot be read (%s), but has no dead letter", ordinal, flaw.Reason)
		}
	}
}
