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

// maxProblems bounds how many problems are described; all are counted.
const maxProblems = 20

// A Report is what verify counted.
type Report struct {
	Chunks     uint64   `json:"chunks"`
	Objects    uint64   `json:"objects"` // of the source
	Outputs    uint64   `json:"outputs"`
	Dead       uint64   `json:"dead"`
	Made       []Made   `json:"made"`                  // by version of the mappers, in the order of the names
	Failures   uint64   `json:"failures"`              // problems found
	Problems   []string `json:"problems"`              // the first of them
	OutputFile string   `json:"output_file,omitempty"` // compared byte by byte
	DeadFile   string   `json:"dead_file,omitempty"`
}

// Made is what a version of mappers made.
type Made struct {
	Version   string `json:"version"`
	Transform string `json:"transform"` // "" if it is not known
	Chunks    uint64 `json:"chunks"`
	Outputs   uint64 `json:"outputs"`
	Dead      uint64 `json:"dead"`
}

// OK says whether the promise was kept.
func (r *Report) OK() bool { return r.Failures == 0 }

func (r *Report) problem(format string, args ...any) {
	r.Failures++
	if len(r.Problems) < maxProblems {
		r.Problems = append(r.Problems, fmt.Sprintf(format, args...))
	}
}

// Run compares src, cut by the folder's plan, with the folder. Problems are in
// the report; an error means that the source or the folder could not be read.
func Run(ctx context.Context, src source.Source, folder *sink.Folder) (Report, error) {
	v := &verifier{folder: folder, report: Report{Problems: []string{}, Made: []Made{}}}
	if err := v.openFiles(); err != nil {
		return Report{}, err
	}
	defer v.closeFiles()
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
	folder       *sink.Folder
	report       Report
	output, dead laidOut
	lines        []byte // reused, as is deadLines
	deadLines    []byte
}

// openFiles opens what Finish laid out, if the job was finished.
func (v *verifier) openFiles() error {
	summary := v.folder.Summary()
	v.report.OutputFile, v.report.DeadFile = summary.Output, summary.DeadFile
	if summary.Output == "" {
		v.report.problem("the job is not finished, or wrote its output to another place")
	}
	if err := v.output.open(&v.report, summary.Output); err != nil {
		return err
	}
	return v.dead.open(&v.report, summary.DeadFile)
}

func (v *verifier) closeFiles() {
	v.output.close()
	v.dead.close()
}

// compare walks source and records side by side, both in the order of the IDs.
func (v *verifier) compare(ctx context.Context, src source.Source, next func() (sink.Record, error, bool)) error {
	record, err, more := next()
	for {
		if err != nil {
			return fmt.Errorf("read sink: %w", err)
		}
		c, _, readErr := src.Next(ctx)
		if errors.Is(readErr, io.EOF) {
			break
		}
		if readErr != nil {
			return fmt.Errorf("read source: %w", readErr)
		}
		v.report.Chunks++
		v.report.Objects += uint64(c.Count)
		if !more || record.Chunk > c.ID {
			v.report.problem("chunk %d (objects %d to %d) is not in the sink", c.ID, c.First, c.First+uint64(c.Count)-1)
			continue
		}
		if err := v.chunk(c, record); err != nil {
			return err
		}
		record, err, more = next()
	}
	for ; more; record, err, more = next() {
		if err != nil {
			return fmt.Errorf("read sink: %w", err)
		}
		v.report.problem("chunk %d is in the sink, but the source has no such chunk", record.Chunk)
		if _, err := v.bodies(record); err != nil {
			return err
		}
	}
	return nil
}

// chunk compares one chunk of the source with its record.
func (v *verifier) chunk(c chunk.Chunk, r sink.Record) error {
	same := r.First == c.First && r.Objects == c.Count
	if !same {
		v.report.problem("chunk %d: sink has objects %d to %d, source has %d to %d", c.ID,
			r.First, r.First+uint64(r.Objects)-1, c.First, c.First+uint64(c.Count)-1)
	} else if digest := c.Digest(); r.Digest != digest {
		v.report.problem("chunk %d: made from objects with digest %s, source has %s", c.ID, r.Digest, digest)
	}
	whole, err := v.bodies(r)
	if err == nil && same && whole {
		v.letters(c, r, v.deadLines)
	}
	return err
}

// bodies reads what a record's outputs and dead letters are, and compares it
// with the laid-out files, which hold it whatever the source is now. It says
// whether the dead letters, now in deadLines, could be read.
func (v *verifier) bodies(r sink.Record) (bool, error) {
	var err error
	v.report.Outputs += r.OutputCount()
	v.count(r)
	if v.lines, err = v.folder.Outputs(v.lines[:0], r); err == nil {
		if got, want := uint64(bytes.Count(v.lines, []byte{'\n'})), r.OutputCount(); got != want {
			v.report.problem("chunk %d: %d output lines, its counts say %d", r.Chunk, got, want)
		}
		v.output.expect(&v.report, v.lines)
	} else if err := v.damaged(r.Chunk, err); err != nil {
		return false, err
	} else {
		v.output.skip(&v.report, r.Outputs.Length)
	}
	if v.deadLines, err = v.folder.DeadLetters(v.deadLines[:0], r); err == nil {
		v.dead.expect(&v.report, v.deadLines)
		return true, nil
	}
	v.dead.skip(&v.report, r.Dead.Length)
	return false, v.damaged(r.Chunk, err)
}

// count adds a record to what its version made.
func (v *verifier) count(r sink.Record) {
	i, known := slices.BinarySearchFunc(v.report.Made, r.Version, func(m Made, version string) int { return strings.Compare(m.Version, version) })
	if !known {
		v.report.Made = slices.Insert(v.report.Made, i, Made{Version: r.Version, Transform: v.folder.Transforms()[r.Version]})
	}
	m := &v.report.Made[i]
	m.Chunks++
	m.Outputs += r.OutputCount()
	m.Dead += uint64(r.DeadCount)
}

// damaged makes damage a problem of the report; other errors it returns.
func (v *verifier) damaged(id chunk.ID, err error) error {
	if !errors.Is(err, sink.ErrDamaged) {
		return fmt.Errorf("read sink: chunk %d: %w", id, err)
	}
	v.report.problem("chunk %d: %v", id, err)
	return nil
}

// letters checks that a chunk's dead letters are its own objects, each once,
// that none of them has an output too, and that there is one for each object
// that no transform can read.
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
			v.report.problem("chunk %d: %v", c.ID, err)
			continue
		}
		switch at := letter.Ordinal - c.First; {
		case letter.Ordinal < c.First || at >= uint64(c.Count):
			v.report.problem("chunk %d: has a dead letter of object %d of another chunk", c.ID, letter.Ordinal)
		case letter.Chunk != c.ID:
			v.report.problem("object %d: its dead letter says chunk %d, it is in chunk %d", letter.Ordinal, letter.Chunk, c.ID)
		case seen[letter.Ordinal]:
			v.report.problem("object %d has two dead letters", letter.Ordinal)
		case !bytes.Equal(letter.Bytes(), objects[at]):
			v.report.problem("object %d: its dead letter holds another object", letter.Ordinal)
		case r.Counts[at] != 0:
			v.report.problem("object %d has a dead letter and %d outputs", letter.Ordinal, r.Counts[at])
		default:
			v.report.Dead++
		}
		seen[letter.Ordinal] = true
	}
	if count != r.DeadCount {
		v.report.problem("chunk %d: %d dead letters, its record says %d", c.ID, count, r.DeadCount)
	}
	for _, flaw := range c.Bad {
		if ordinal := c.First + uint64(flaw.Index); !seen[ordinal] {
			v.report.problem("object %d cannot be read (%s), but has no dead letter", ordinal, flaw.Reason)
		}
	}
}
