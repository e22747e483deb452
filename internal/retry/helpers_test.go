package retry_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/retry"
	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/sink/sinktest"
	"github.com/chunkline/chunkline/internal/source"
	"github.com/chunkline/chunkline/internal/transform"
	"github.com/chunkline/chunkline/internal/verify"
)

// tester is what testing.T and rapid.T have in common.
type tester interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
	Errorf(format string, args ...any)
}

const (
	job  = "test"
	size = 3 // objects a chunk

	// An object {id, first, again, n} has the outputs [id,0] … [id,n-1]; it
	// fails before the transform is fixed, or afterwards, where it says so.
	before = `jq:if .first then error("first") else range(.n) as $i | [.id, $i] end`
	after  = `jq:if .again then error("again") else range(.n) as $i | [.id, $i] end`
)

// object is an object of the model.
type object struct {
	flawed       bool // it is no JSON
	first, again bool // it fails
	n            int  // outputs
}

func (o object) line(id int) string {
	if o.flawed {
		return fmt.Sprintf("flawed %d", id)
	}
	return fmt.Sprintf(`{"id":%d,"first":%t,"again":%t,"n":%d}`, id, o.first, o.again, o.n)
}

func (o object) outputs(id int) string {
	var text strings.Builder
	for i := range o.n {
		fmt.Fprintf(&text, "[%d,%d]\n", id, i)
	}
	return text.String()
}

// world is a job with dead letters.
type world struct {
	tester
	dir     string
	objects []object
	cut     func(objects int) []int // the lengths of a chunk's pieces; nil: it is one
}

func (w *world) path(name string) string { return filepath.Join(w.dir, name) }

func (w *world) check(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// openSource opens the source; the caller closes it.
func (w *world) openSource() source.Source {
	w.Helper()
	src, err := source.Open(source.Options{Size: size, Bytes: chunk.DefaultBytes}, w.path("in.jsonl")+"?format=lines")
	w.check(err)
	return src
}

// fill runs the job with the transform that fails. skip is a chunk that is not
// done; below 0: none.
func (w *world) fill(skip int) {
	w.Helper()
	var text strings.Builder
	for id, o := range w.objects {
		text.WriteString(o.line(id) + "\n")
	}
	w.check(os.WriteFile(w.path("in.jsonl"), []byte(text.String()), 0o666))
	src := w.openSource()
	defer func() { _ = src.Close() }()
	f := w.open(false)
	defer func() { _ = f.Close() }()
	ctx := contextOf(w.tester)
	_, err := f.Claim(ctx, src.Plan(), "fetcher")
	w.check(err)
	mapping, err := parse(w, before).New()
	w.check(err)
	for {
		c, _, err := src.Next(ctx)
		if errors.Is(err, io.EOF) {
			break
		}
		w.check(err)
		if int(c.ID) == skip {
			continue
		}
		out, err := transform.Run(ctx, mapping, c.Body, c.Bad, transform.Options{})
		w.check(err)
		_, err = f.Commit(ctx, w.pieces(resultOf(c, out)))
		w.check(err)
	}
	if skip < 0 {
		sum := f.Summary()
		_, err = f.Finish(ctx, sum.Chunks, sum.Objects)
		w.check(err)
	}
}

// pieces cuts the result of a chunk.
func (w *world) pieces(whole sink.Result) []sink.Result {
	if w.cut == nil {
		return []sink.Result{whole}
	}
	return sinktest.Pieces(whole, w.cut(whole.Objects)...)
}

// resultOf does what a mapper does.
func resultOf(c chunk.Chunk, out transform.Output) sink.Result {
	r := sink.Result{
		Chunk: c.ID, Of: c.Count, First: c.First, Objects: c.Count, Digest: c.Digest(), Counts: out.Counts, Outputs: out.Lines,
		DeadCount: len(out.Failed), Attempt: 1, Mapper: "m", Version: "v1",
	}
	objects := bytes.Split(c.Body, []byte{'\n'})
	for _, failure := range out.Failed {
		l := chunk.DeadLetter{Ordinal: c.First + uint64(failure.Index), Chunk: c.ID, Error: failure.Err, Object: objects[failure.Index]}
		if !slices.ContainsFunc(c.Bad, func(f chunk.Flaw) bool { return f.Index == failure.Index }) {
			l.Attempts, l.Mapper, l.Version = 1, "m", "v1"
		}
		r.Dead = l.Append(r.Dead)
	}
	return r
}

func parse(w *world, text string) transform.Spec {
	w.Helper()
	spec, err := transform.Parse(text)
	w.check(err)
	spec.InProcess = true // thousands of small histories: a process for each would take most of the time
	return spec
}

func (w *world) open(readOnly bool) *sink.Folder {
	w.Helper()
	f, err := sink.OpenFolder(w.path("sink"), job, sink.FolderOptions{ReadOnly: readOnly})
	w.check(err)
	return f
}

// retry maps the dead letters again.
func (w *world) retry(text string, workers int) (retry.Report, error) {
	w.Helper()
	return w.retryAt(0, text, workers)
}

// retryAt maps the dead letters again, with a rate.
func (w *world) retryAt(rate float64, text string, workers int) (retry.Report, error) {
	w.Helper()
	f := w.open(false)
	defer func() { w.check(f.Close()) }()
	return retry.Run(contextOf(w.tester), f, retry.Config{Spec: parse(w, text), Workers: workers, Rate: rate})
}

// letters reads the dead letters of the merged file.
func (w *world) letters() []chunk.DeadLetter {
	w.Helper()
	text, err := os.ReadFile(w.path("sink/dead.jsonl"))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	w.check(err)
	var all []chunk.DeadLetter
	for _, line := range chunk.Objects(text) {
		l, err := chunk.ParseDeadLetter(line)
		w.check(err)
		all = append(all, l)
	}
	return all
}

// outputs reads the merged outputs.
func (w *world) outputs() string {
	w.Helper()
	text, err := os.ReadFile(w.path("sink/output.jsonl"))
	w.check(err)
	return string(text)
}

// verified wants that verify finds nothing wrong.
func (w *world) verified() {
	w.Helper()
	src, f := w.openSource(), w.open(true)
	defer func() { _, _ = src.Close(), f.Close() }()
	report, err := verify.Run(contextOf(w.tester), src, f)
	w.check(err)
	if !report.OK() {
		w.Errorf("verify: %q", report.Problems)
	}
}
