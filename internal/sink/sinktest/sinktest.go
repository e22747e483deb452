// Package sinktest is the suite that every kind of sink must pass. It does not know how a sink stores results, so each
// kind tests its own faults and crashes.
//
// A kind calls Run with a function that opens one of its sinks:
//
//	sinktest.Run(t, func(t *testing.T, where, job string) (saver.Sink, error) {
//		return sink.Open("folder:"+where, job, sink.FolderOptions{})
//	})
package sinktest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"testing"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/saver"
	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/tabular"
)

// Open opens the sink named where for a job, and creates it if it does not exist. where is a path that does not exist
// the first time; a kind without paths uses it as a name that is unique to the test. The suite closes the sink.
type Open func(t *testing.T, where, job string) (saver.Sink, error)

// Job is the job of all sinks of the suite except one.
const Job = "suite"

// MaxChunk is the largest chunk ID that every sink accepts, and roughly the largest ordinal: databases have signed
// numbers.
const MaxChunk = 1<<63 - 1

// Run runs the suite; each test has a sink of its own.
func Run(t *testing.T, open Open) {
	t.Helper()
	run(t, open, false, claims, commits, pieces, replaces, fences, readings, finishes)
}

// RunFiles runs the suite for a kind that merges the result into files.
func RunFiles(t *testing.T, open Open) {
	t.Helper()
	run(t, open, true, claims, commits, pieces, replaces, fences, readings, finishes, files)
}

func run(t *testing.T, open Open, files bool, groups ...map[string]func(*harness)) {
	t.Helper()
	for _, group := range groups {
		for name, test := range group {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				h := &harness{T: t, open: open, files: files, where: filepath.Join(t.TempDir(), "sink")}
				h.reopen()
				t.Cleanup(h.shut)
				test(h)
			})
		}
	}
}

// harness is one sink under test.
type harness struct {
	*testing.T
	saver.Sink
	open  Open
	files bool // Finish merges the result into files
	where string
}

// reopen closes the sink if it is open, and opens it again.
func (h *harness) reopen() {
	h.Helper()
	h.shut()
	s, err := h.open(h.T, h.where, Job)
	if err != nil {
		h.Fatalf("open sink: %v", err)
	}
	h.Sink = s
}

func (h *harness) shut() {
	h.Helper()
	if h.Sink == nil {
		return
	}
	if err := h.Close(); err != nil {
		h.Errorf("close sink: %v", err)
	}
	h.Sink = nil
}

// Plan returns a plan; different sources give different plans.
func Plan(source string) chunk.Plan {
	return chunk.Plan{Source: source, Size: chunk.DefaultSize, Bytes: chunk.DefaultBytes, Format: chunk.FormatVersion}
}

func (h *harness) claim(plan chunk.Plan, fetcher string) sink.Grant {
	h.Helper()
	g, err := h.Claim(h.Context(), plan, fetcher)
	if err != nil {
		h.Fatalf("claim by %s: %v", fetcher, err)
	}
	return g
}

// commit commits a group and checks the outcomes.
func (h *harness) commit(group []sink.Result, want ...sink.Outcome) {
	h.Helper()
	got, err := h.Commit(h.Context(), group)
	if err != nil {
		h.Fatalf("commit: %v", err)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		h.Fatalf("outcomes are %v, want %v", got, want)
	}
}

// wantEntries checks what List returns for all chunks below 1000.
func (h *harness) wantEntries(want ...sink.Result) {
	h.Helper()
	got, err := h.List(h.Context(), 0, 1000)
	if err != nil {
		h.Fatalf("list: %v", err)
	}
	sameEntries(h.T, got, want...)
}

func sameEntries(t *testing.T, got []sink.Entry, want ...sink.Result) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d entries %v, want %d", len(got), got, len(want))
	}
	for i, r := range want {
		if e := r.Entry(); got[i] != e {
			t.Fatalf("entry %d is %v, want %v", i, got[i], e)
		}
	}
}

// wantFinish finishes the job, and compares the summary and the files with the results, given in input order.
func (h *harness) wantFinish(results ...sink.Result) sink.Summary {
	h.Helper()
	want, outputs, dead := Expect(results...)
	got, err := h.Finish(h.Context(), want.Chunks, want.Objects)
	if err != nil {
		h.Fatalf("finish: %v", err)
	}
	want.Output, want.DeadFile = got.Output, got.DeadFile
	if got != want {
		h.Fatalf("summary is %+v, want %+v", got, want)
	}
	if got != h.Summary() {
		h.Fatalf("Summary is %+v after Finish said %+v", h.Summary(), got)
	}
	if got.Output == "" || (got.DeadFile != "") != (len(dead) > 0) {
		h.Fatalf("a finished job with %d dead letters says that they lie in %q, and the outputs in %q", want.Dead, got.DeadFile, got.Output)
	}
	h.sameRecords(outputs, dead)
	if h.files {
		sameFile(h.T, got.Output, Content(got.Output, outputs))
		if len(dead) > 0 {
			sameFile(h.T, got.DeadFile, dead)
		}
	}
	return got
}

// A reader has the methods of every kind, besides saver.Sink, for verify and other readers of results.
type reader interface {
	Records(ctx context.Context) iter.Seq2[sink.Record, error]
	Outputs(b []byte, r sink.Record) ([]byte, error)
	DeadLetters(b []byte, r sink.Record) ([]byte, error)
}

// sameRecords compares the content of all records, in order.
func (h *harness) sameRecords(wantOutputs, wantDead []byte) {
	h.Helper()
	from := h.Sink.(reader)
	var outputs, dead []byte
	for r, err := range from.Records(h.Context()) {
		if err == nil {
			outputs, err = from.Outputs(outputs, r)
		}
		if err == nil {
			dead, err = from.DeadLetters(dead, r)
		}
		if err != nil {
			h.Fatalf("read records: %v", err)
		}
	}
	if !bytes.Equal(outputs, wantOutputs) || !bytes.Equal(dead, wantDead) {
		h.Fatalf("the records have outputs %.200q and dead letters %.200q, want %.200q and %.200q", outputs, dead, wantOutputs, wantDead)
	}
}

func sameFile(t *testing.T, path string, want []byte) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("read what was merged: %v", err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("%s has %d bytes %.200q, want %d bytes %.200q", path, len(got), got, len(want), want)
	}
}

// Content returns the content of an ordered file with this name and these lines.
func Content(name string, lines []byte) []byte {
	var content bytes.Buffer
	compressed, err := sink.Compress(name, &content)
	if err != nil {
		panic(err)
	}
	if format := sink.TableOf(name); format == 0 {
		_, err = compressed.Write(lines)
	} else {
		err = writeTable(compressed, format, lines)
	}
	if err := errors.Join(err, compressed.Close()); err != nil {
		panic(err)
	}
	return content.Bytes()
}

func writeTable(w io.Writer, format tabular.Format, lines []byte) error {
	columns := tabular.NewColumns(nil)
	add := tabular.LineWriter{Line: columns.Add}
	if _, err := add.Write(lines); err != nil {
		return err
	}
	table, err := tabular.NewWriter(w, format, columns)
	if err != nil {
		return err
	}
	rows := tabular.LineWriter{Line: table.Row}
	_, err = rows.Write(lines)
	return errors.Join(err, table.Close())
}

// Expect returns what a sink must hold after results, given in input order: the counts, the ordered outputs and the
// ordered dead letters.
func Expect(results ...sink.Result) (sum sink.Summary, outputs, dead []byte) {
	have := 0 // objects of the chunk
	for i, r := range results {
		if i == 0 || results[i-1].Chunk != r.Chunk {
			have = 0
		}
		if have += r.Objects; have == r.Of {
			sum.Chunks++
		}
		sum.Objects += uint64(r.Objects)
		sum.Dead += uint64(r.DeadCount)
		for _, n := range r.Counts {
			sum.Outputs += uint64(n)
		}
		outputs = append(outputs, r.Outputs...)
		dead = append(dead, r.Dead...)
	}
	sum.OutputBytes = uint64(len(outputs))
	return sum, outputs, dead
}

// Result makes the result of a chunk whose objects have these numbers of outputs; -1 stands for a dead letter. salt
// makes different outputs of the same objects.
func Result(id chunk.ID, first uint64, salt string, counts ...int) sink.Result {
	r := sink.Result{
		Chunk: id, Of: len(counts), First: first, Objects: len(counts), Digest: Digest(id, "source"),
		Attempt: 1, Mapper: "mapper" + salt, Version: "v1",
	}
	for i, n := range counts {
		ordinal := first + uint64(i)
		r.Counts = append(r.Counts, max(n, 0))
		for k := range n {
			r.Outputs = fmt.Appendf(r.Outputs, `{"object":%d,"output":%d,"salt":%q}`+"\n", ordinal, k, salt)
		}
		if n < 0 {
			r.DeadCount++
			r.Dead = fmt.Appendf(r.Dead, `{"ordinal":%d,"chunk":%d,"error":%q}`+"\n", ordinal, id, salt)
		}
	}
	return r
}

// Piece returns the result of n objects of a chunk instead of all of them.
func Piece(whole sink.Result, from, n int) sink.Result {
	r := whole
	if n == whole.Objects {
		return r
	}
	r.From, r.Objects, r.First, r.Counts = from, n, whole.First+uint64(from), whole.Counts[from:from+n]
	r.Outputs, r.Dead, r.DeadCount = nil, nil, 0
	ordinal, left := whole.First, whole.Outputs
	for i, count := range whole.Counts {
		end := chunk.LinesEnd(left, count)
		if i >= from && i < from+n {
			r.Outputs = append(r.Outputs, left[:end]...)
		}
		left = left[end:]
	}
	for line := range bytes.Lines(whole.Dead) {
		if _, err := fmt.Sscanf(string(line), `{"ordinal":%d,`, &ordinal); err != nil {
			panic(err)
		}
		if ordinal >= r.First && ordinal < r.First+uint64(n) {
			r.Dead = append(r.Dead, line...)
			r.DeadCount++
		}
	}
	return r
}

// Pieces cuts the result of a chunk into pieces of these lengths, and one piece of the rest.
func Pieces(whole sink.Result, lengths ...int) (all []sink.Result) {
	from := 0
	for _, n := range lengths {
		all = append(all, Piece(whole, from, n))
		from += n
	}
	if n := whole.Objects - from; n > 0 {
		all = append(all, Piece(whole, from, n))
	}
	return all
}

// Digest is the digest of a chunk of a source; different sources have different digests.
func Digest(id chunk.ID, source string) chunk.Digest {
	return chunk.Sum(fmt.Appendf(nil, "%s %d\n", source, id))
}

// Chain makes results of chunks 0, 1, 2 … with contiguous ordinals.
func Chain(salt string, counts ...[]int) []sink.Result {
	var out []sink.Result
	var first uint64
	for i, c := range counts {
		out = append(out, Result(chunk.ID(i), first, salt, c...))
		first += uint64(len(c))
	}
	return out
}
