package verify_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"testing"

	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/sink/sinktest"
	"github.com/chunkline/chunkline/internal/verify"
)

// inParts is a folder that shows its outputs as parts; one without content cannot be read.
type inParts struct {
	*sink.Folder

	parts []sink.Part
}

// Parts yields the outputs; there is no part with dead letters.
func (p inParts) Parts(_ context.Context, dead bool) iter.Seq2[sink.Part, error] {
	return func(yield func(sink.Part, error) bool) {
		for _, part := range p.parts {
			var err error
			if part.Content == nil {
				err = errors.New(part.Location + " cannot be read")
			}
			if !dead && !yield(part, err) {
				return
			}
		}
	}
}

// TestParts: each kind of problem with the parts of a sink is found. One that cannot be read does not keep the next
// ones from being compared.
func TestParts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, append(slices.Clone(job10[:7]), job10[8:]...))
	results := w.results(t, nil)
	w.fill(t, results)
	f, err := sink.OpenFolder(w.sink, job, sink.FolderOptions{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	var right []sink.Part // one for each chunk
	for i := range results {
		r := sink.RecordOf(&results[i])
		name := fmt.Sprintf("part-%d.jsonl.gz", r.Chunk)
		right = append(right, sink.Part{Location: name, Lines: r.OutputCount(), Content: sinktest.Content(name, results[i].Outputs)})
	}
	unread := slices.Clone(right)
	unread[0].Content = nil
	short := slices.Clone(right)
	short[1].Content = sinktest.Content("x.gz", nil)
	for what, c := range map[string]struct {
		parts []sink.Part
		want  []string
	}{
		"right":     {right, nil},
		"missing":   {right[:2], []string{"the parts end before the last chunk does"}},
		"too many":  {append(slices.Clone(right), right[0]), []string{"part-0.jsonl.gz: it follows the part with the last chunk"}},
		"exchanged": {[]sink.Part{right[0], right[2], right[1]}, []string{"part-2.jsonl.gz: differs from the chunks at byte", "part-1.jsonl.gz: differs from the chunks at byte"}},
		"unread":    {unread, []string{"part-0.jsonl.gz cannot be read"}},
		"too short": {short, []string{"part-1.jsonl.gz: differs from the chunks at byte 0"}},
	} {
		report, err := verify.Run(t.Context(), w.openSource(t), inParts{f, c.parts})
		if err != nil {
			t.Fatal(err)
		}
		if t.Log(what); len(c.want) > 0 {
			wantProblems(t, report, c.want)
		} else if !report.OK() {
			t.Errorf("problems: %q", report.Problems)
		}
	}
}
