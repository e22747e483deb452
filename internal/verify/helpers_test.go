package verify_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/sink/sinktest"
	"github.com/chunkline/chunkline/internal/source"
	"github.com/chunkline/chunkline/internal/verify"
)

const (
	job  = "test"
	size = 3 // objects a chunk
)

// job10 is a source of ten objects in four chunks. Object 7 cannot be read.
var job10 = []string{`{"n":0}`, `{"n":1}`, `{"n":2}`, `{"n":3}`, `{"n":4}`, `{"n":5}`, `{"n":6}`, `no JSON`, `{"n":8}`, `{"n":9}`}

// job10Dead are the objects of job10 that become dead letters.
var job10Dead = map[uint64]int{4: 1, 7: 0} // with their attempts

// world is a source and the folder that was filled from it.
type world struct {
	source, sink string
	output       string       // file of the ordered outputs; "": the sink's own
	sum          sink.Summary // as of the end, if it was finished
}

// openSource opens the source of a world.
func (w *world) openSource(t *testing.T) source.Source {
	t.Helper()
	src, err := source.Open(source.Options{Size: size, Bytes: chunk.DefaultBytes}, w.source)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = src.Close() })
	return src
}

// write makes lines the source.
func (w *world) write(t *testing.T, lines []string) {
	t.Helper()
	text := ""
	if len(lines) > 0 {
		text = strings.Join(lines, "\n") + "\n"
	}
	if err := os.WriteFile(w.source, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
}

// made is an output: a string, or an object if the outputs are a table. A table that has object 9 has a column more,
// and one has a name that CSV must quote.
func (w *world) made(ordinal uint64, n int) string {
	switch {
	case sink.TableOf(w.output) == 0:
		return fmt.Sprintf("\"out %d.%d\"", ordinal, n)
	case ordinal == 9:
		return `{"late":[1, 2],"number":1.0}`
	}
	return fmt.Sprintf(`{"number":%d.5,"te\r\n\"xt":"out \u00fc,\n\"%[1]d\".%d"}`, ordinal, n)
}

// results is what a right job makes of the source: object n has n%3 outputs
// ("out n.0", "out n.1"), except the dead ones.
func (w *world) results(t *testing.T, dead map[uint64]int) []sink.Result {
	t.Helper()
	var all []sink.Result
	src := w.openSource(t)
	for {
		c, _, err := src.Next(t.Context())
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		r := sink.Result{Chunk: c.ID, Of: c.Count, First: c.First, Objects: c.Count, Digest: c.Digest(), Counts: make([]int, c.Count), Attempt: 1, Mapper: "m"}
		for i, object := range chunk.Objects(c.Body) {
			ordinal := c.First + uint64(i)
			if attempts, is := dead[ordinal]; is {
				r.Dead = chunk.DeadLetter{Ordinal: ordinal, Chunk: c.ID, Error: "wrong", Attempts: attempts, Object: object}.Append(r.Dead)
				r.DeadCount++
				continue
			}
			r.Counts[i] = int(ordinal % 3)
			for n := range r.Counts[i] {
				r.Outputs = append(append(r.Outputs, w.made(ordinal, n)...), '\n')
			}
		}
		all = append(all, r)
	}
}

// inPieces cuts results of chunks into pieces of one object and of all others.
func inPieces(results []sink.Result) (all []sink.Result) {
	for _, r := range results {
		all = append(all, sinktest.Pieces(r, 1)...)
	}
	return all
}

// fill commits results, and finishes the job if they are complete.
func (w *world) fill(t *testing.T, results []sink.Result) {
	t.Helper()
	f, err := sink.OpenFolder(w.sink, job, sink.FolderOptions{Output: w.output})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if _, err := f.Claim(t.Context(), w.openSource(t).Plan(), "fetcher"); err != nil {
		t.Fatal(err)
	}
	if len(results) > 0 {
		if _, err := f.Commit(t.Context(), results); err != nil {
			t.Fatal(err)
		}
	}
	total := f.Summary()
	w.sum, err = f.Finish(t.Context(), total.Chunks, total.Objects)
	if err != nil && !errors.Is(err, sink.ErrIncomplete) {
		t.Fatal(err)
	}
}

// verify runs the real thing.
func (w *world) verify(t *testing.T) verify.Report {
	t.Helper()
	f, err := sink.OpenFolder(w.sink, job, sink.FolderOptions{Output: w.output, ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	report, err := verify.Run(t.Context(), w.openSource(t), f)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func newWorld(t *testing.T, lines []string) *world {
	t.Helper()
	dir := t.TempDir()
	w := &world{source: filepath.Join(dir, "in.jsonl"), sink: filepath.Join(dir, "sink")}
	w.write(t, lines)
	return w
}

// change rewrites a file.
func change(t *testing.T, path string, edit func([]byte) []byte) {
	t.Helper()
	old, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, edit(bytes.Clone(old)), 0o666); err != nil {
		t.Fatal(err)
	}
}

// damage flips a bit of the only place in the parts that holds text.
func (w *world) damage(t *testing.T, text string) {
	t.Helper()
	parts, err := filepath.Glob(filepath.Join(w.sink, "log-*"))
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, part := range parts {
		change(t, part, func(b []byte) []byte {
			if at := bytes.Index(b, []byte(text)); at >= 0 {
				found++
				b[at] ^= 1
			}
			return b
		})
	}
	if found != 1 {
		t.Fatalf("%q is in %d of the parts %v", text, found, parts)
	}
}
