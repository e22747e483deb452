package verify_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/verify"
)

func TestRight(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		lines []string
		dead  map[uint64]int
		want  verify.Report
	}{
		"no objects": {nil, nil, verify.Report{}},
		"several outputs and none and dead letters": {job10, job10Dead, verify.Report{Chunks: 4, Objects: 10, Outputs: 7, Dead: 2}},
		"all are dead":                         {job10[:2], map[uint64]int{0: 3, 1: 1}, verify.Report{Chunks: 1, Objects: 2, Dead: 2}},
		"one object":                           {job10[:1], nil, verify.Report{Chunks: 1, Objects: 1}},
		"more chunks than a page of the index": {many(4000), nil, verify.Report{Chunks: 1334, Objects: 4000, Outputs: 3999}},
	} {
		right := func(t *testing.T, pieces bool) {
			t.Parallel()
			w := newWorld(t, c.lines)
			results := w.results(t, c.dead)
			if pieces {
				results = inPieces(results)
			}
			w.fill(t, results)
			got := w.verify(t)
			for _, m := range got.Made { // all of the same version
				if len(got.Made) != 1 || m.Chunks != got.Chunks || m.Outputs != got.Outputs || m.Dead != got.Dead {
					t.Errorf("%+v was made, of %+v", m, got)
				}
			}
			got.Made = nil
			c.want.OutputFile, c.want.DeadFile = w.sum.Output, w.sum.DeadFile
			if fmt.Sprint(got) != fmt.Sprint(c.want) || !got.OK() {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
			if (c.want.Dead > 0) != (got.DeadFile != "") {
				t.Errorf("dead letters were compared with %q", got.DeadFile)
			}
		}
		t.Run(name, func(t *testing.T) { right(t, false) })
		t.Run(name+" in pieces", func(t *testing.T) { right(t, true) })
	}
}

// TestCompressed: the lines of a compressed output are compared, and damage is found.
func TestCompressed(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"out.jsonl.gz", "out.jsonl.zst"} {
		w := newWorld(t, job10)
		w.output = filepath.Join(filepath.Dir(w.sink), name)
		w.fill(t, w.results(t, job10Dead))
		if got := w.verify(t); !got.OK() || got.OutputFile != w.output {
			t.Errorf("%s: %+v", name, got)
		}
		for damage, edit := range map[string]func([]byte) []byte{
			"cut off":        func(b []byte) []byte { return b[:len(b)-9] },
			"no compression": func([]byte) []byte { return []byte("\"out 1.0\"\n") },
			"changed":        func(b []byte) []byte { b[len(b)-6] ^= 1; return b }, // in the checksum
		} {
			whole, err := os.ReadFile(w.output)
			if err != nil {
				t.Fatal(err)
			}
			change(t, w.output, edit)
			if got := w.verify(t); got.OK() || !strings.Contains(fmt.Sprint(got.Problems), name) {
				t.Errorf("%s, %s: %+v", name, damage, got)
			}
			change(t, w.output, func([]byte) []byte { return whole })
		}
	}
}

func many(n int) []string {
	lines := make([]string, n)
	for i := range lines {
		lines[i] = fmt.Sprintf(`{"n":%d}`, i)
	}
	return lines
}

const unfinished = "the job is not finished"

// TestWrong: each kind of problem is found and described once. In pieces, chunks 0 to 2 are cut into
// pieces of one and two objects, and a problem of a piece names its objects.
func TestWrong(t *testing.T) {
	t.Parallel()
	letter := func(ordinal uint64, id chunk.ID, object string) []byte {
		return chunk.DeadLetter{Ordinal: ordinal, Chunk: id, Error: "wrong", Attempts: 1, Object: []byte(object)}.Append(nil)
	}
	for name, c := range map[string]struct {
		pieces  bool
		results func(all []sink.Result) []sink.Result // what is committed; nil: all
		lines   []string                              // what the source is when it is verified; nil: as it was
		after   func(t *testing.T, w *world)
		want    []string
	}{
		"chunk is missing": {
			results: func(all []sink.Result) []sink.Result { return append(all[:1], all[2:]...) },
			want:    []string{unfinished, "chunk 1 (objects 3 to 5) is not in the sink"},
		},
		"last chunk is missing": {
			results: func(all []sink.Result) []sink.Result { return all[:3] },
			want:    []string{"chunk 3 (objects 9 to 9) is not in the sink"}, // Finish was called with three chunks
		},
		"all is missing": {
			results: func([]sink.Result) []sink.Result { return nil },
			want:    []string{"chunk 0 (", "chunk 1 (", "chunk 2 (", "chunk 3 ("},
		},
		"source is shorter": {
			lines: job10[:9],
			want:  []string{"chunk 3 is in the sink, but the source has no such chunk"},
		},
		"source is shorter within a chunk": {
			lines: job10[:8],
			want:  []string{"chunk 2: the sink has objects 6 to 8, the source has 6 to 7", "chunk 3 is in the sink"},
		},
		"source has another object": {
			lines: replaced(1, `{"n":-1}`),
			want:  []string{"chunk 0: the sink has digest"},
		},
		"objects are swapped": {
			lines: replaced(0, job10[1], job10[0]),
			want:  []string{"chunk 0: the sink has digest"},
		},
		"dead object is another now": {
			lines: replaced(4, `{"n":"four"}`),
			want:  []string{"chunk 1: the sink has digest", "object 4: its dead letter holds another object"},
		},
		"ordinals": {
			results: func(all []sink.Result) []sink.Result { all[3].First = 10; return all },
			want:    []string{unfinished, "chunk 3: the sink has objects 10 to 10, the source has 9 to 9"},
		},
		"counts": {
			results: func(all []sink.Result) []sink.Result { all[0].Counts[2] = 3; return all },
			want:    []string{"chunk 0: has 3 output lines, but its record says 4"},
		},
		"dead letter twice": {
			results: func(all []sink.Result) []sink.Result {
				all[1].Dead, all[1].DeadCount = append(all[1].Dead, all[1].Dead...), 2
				return all
			},
			want: []string{"object 4 has two dead letters"},
		},
		"dead letters are more than counted": {
			results: func(all []sink.Result) []sink.Result {
				all[1].Dead = append(all[1].Dead, letter(3, 1, job10[3])...)
				return all
			},
			want: []string{"chunk 1: has 2 dead letters, but its record says 1"},
		},
		"dead letter of another chunk": {
			results: func(all []sink.Result) []sink.Result {
				all[0].Dead, all[0].DeadCount = letter(9, 0, job10[9]), 1
				return all
			},
			want: []string{"chunk 0: has a dead letter of object 9, which does not belong to it"},
		},
		"dead letter before the chunk": {
			results: func(all []sink.Result) []sink.Result { all[1].Dead = letter(0, 1, job10[0]); return all },
			want:    []string{"chunk 1: has a dead letter of object 0, which does not belong to it"},
		},
		"dead letter names another chunk": {
			results: func(all []sink.Result) []sink.Result { all[1].Dead = letter(4, 2, job10[4]); return all },
			want:    []string{"object 4: its dead letter says chunk 2"},
		},
		"dead letter holds another object": {
			results: func(all []sink.Result) []sink.Result { all[1].Dead = letter(4, 1, job10[5]); return all },
			want:    []string{"object 4: its dead letter holds another object"},
		},
		"dead letter beside outputs": {
			results: func(all []sink.Result) []sink.Result { all[1].Dead = letter(5, 1, job10[5]); return all },
			want:    []string{"object 5 has a dead letter and 2 outputs"},
		},
		"dead letter is none": {
			results: func(all []sink.Result) []sink.Result { all[1].Dead = []byte("oops\n"); return all },
			want:    []string{"chunk 1: parse dead letter"},
		},
		"unreadable object without dead letter": {
			results: func(all []sink.Result) []sink.Result { all[2].Dead, all[2].DeadCount = nil, 0; return all },
			want:    []string{"object 7 cannot be read (line 8"},
		},
		"part is damaged": {
			after: func(t *testing.T, w *world) { w.damage(t, "out 5.1") },
			want:  []string{"chunk 1: sink is damaged"},
		},
		"dead part is damaged": {
			after: func(t *testing.T, w *world) { w.damage(t, `{"ordinal":4`) },
			want:  []string{"chunk 1: sink is damaged"},
		},
		"output changed": {
			after: func(t *testing.T, w *world) {
				change(t, w.sum.Output, func(b []byte) []byte { return bytes.Replace(b, []byte("out 2.1"), []byte("out 2.2"), 1) })
			},
			want: []string{"output.jsonl: differs from the chunks at byte 27"},
		},
		"output truncated": {
			after: func(t *testing.T, w *world) { change(t, w.sum.Output, func(b []byte) []byte { return b[:len(b)-1] }) },
			want:  []string{"output.jsonl: differs from the chunks at byte 69"},
		},
		"output extended": {
			after: func(t *testing.T, w *world) {
				change(t, w.sum.Output, func(b []byte) []byte { return append(b, '\n') })
			},
			want: []string{"output.jsonl: continues after byte 70"},
		},
		"output is gone": {
			after: func(t *testing.T, w *world) { remove(t, w.sum.Output) },
			want:  []string{"output.jsonl: the job is finished, but the file does not exist"},
		},
		"dead file changed": {
			after: func(t *testing.T, w *world) {
				change(t, w.sum.DeadFile, func(b []byte) []byte { return bytes.Replace(b, []byte("wrong"), []byte("right"), 1) })
			},
			want: []string{"dead.jsonl: differs from the chunks at byte 32"},
		},
		"dead file truncated": {
			after: func(t *testing.T, w *world) { change(t, w.sum.DeadFile, func([]byte) []byte { return nil }) },
			want:  []string{"dead.jsonl: differs from the chunks at byte 0"},
		},
		"dead file extended": {
			after: func(t *testing.T, w *world) {
				change(t, w.sum.DeadFile, func(b []byte) []byte { return append(b, b...) })
			},
			want: []string{"dead.jsonl: continues after byte"},
		},
		"damage and a short output": {
			after: func(t *testing.T, w *world) {
				w.damage(t, "out 8.0")
				change(t, w.sum.Output, func(b []byte) []byte { return b[:50] })
			},
			want: []string{"chunk 2: sink is damaged", "output.jsonl: ends before byte 70"},
		},
		"in pieces: first piece is missing": {
			pieces:  true,
			results: func(all []sink.Result) []sink.Result { return slices.Delete(all, 2, 3) },
			want:    []string{unfinished, "chunk 1: objects 3 to 3 are not in the sink"},
		},
		"in pieces: last piece is missing": {
			pieces:  true,
			results: func(all []sink.Result) []sink.Result { return slices.Delete(all, 3, 4) },
			want:    []string{unfinished, "chunk 1: objects 4 to 5 are not in the sink"},
		},
		"in pieces: source has another object": {
			pieces: true,
			lines:  replaced(1, `{"n":-1}`),
			want:   []string{"chunk 0: the sink has digest"},
		},
		"in pieces: objects of two pieces are swapped": {
			pieces: true,
			lines:  replaced(0, job10[1], job10[0]),
			want:   []string{"chunk 0: the sink has digest"},
		},
		"in pieces: source is shorter within a chunk": {
			pieces: true,
			lines:  job10[:8],
			want:   []string{"chunk 2: the sink has objects 6 to 8, the source has 6 to 7", "chunk 3 is in the sink"},
		},
		"in pieces: source is shorter": {
			pieces: true,
			lines:  job10[:6],
			want:   []string{"chunk 2 is in the sink, but the source has no such chunk", "chunk 3 is in the sink"},
		},
		"in pieces: dead letter of another piece": {
			pieces: true,
			results: func(all []sink.Result) []sink.Result {
				all[2].Dead, all[2].DeadCount, all[2].Counts, all[2].Outputs = all[3].Dead, 1, []int{0}, nil
				return all
			},
			want: []string{"chunk 1, objects 3 to 3: has a dead letter of object 4, which does not belong to it"},
		},
		"in pieces: unreadable object without dead letter": {
			pieces:  true,
			results: func(all []sink.Result) []sink.Result { all[5].Dead, all[5].DeadCount = nil, 0; return all },
			want:    []string{"object 7 cannot be read (line 8"},
		},
		"in pieces: counts": {
			pieces:  true,
			results: func(all []sink.Result) []sink.Result { all[1].Counts[1] = 3; return all },
			want:    []string{"chunk 0, objects 1 to 2: has 3 output lines, but its record says 4"},
		},
		"in pieces: part is damaged": {
			pieces: true,
			after:  func(t *testing.T, w *world) { w.damage(t, "out 5.1") },
			want:   []string{"chunk 1, objects 4 to 5: sink is damaged"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, job10)
			results := w.results(t, job10Dead)
			if c.pieces {
				results = inPieces(results)
			}
			if c.results != nil {
				results = c.results(results)
			}
			w.fill(t, results)
			if c.lines != nil {
				w.write(t, c.lines)
			}
			if c.after != nil {
				c.after(t, w)
			}
			wantProblems(t, w.verify(t), c.want)
		})
	}
}

// TestMadeInPieces: a chunk counts for each version that made a piece of it, once.
func TestMadeInPieces(t *testing.T) {
	t.Parallel()
	w := newWorld(t, job10)
	results := inPieces(w.results(t, job10Dead))
	for i := range results {
		results[i].Version = "v1"
	}
	results[1].Version, results[6].Version = "v2", "v2" // the end of chunk 0, and chunk 3
	w.fill(t, results)
	got := w.verify(t)
	want := []verify.Made{{Version: "v1", Chunks: 3, Outputs: 4, Dead: 2}, {Version: "v2", Chunks: 2, Outputs: 3}}
	if !got.OK() || !slices.Equal(got.Made, want) {
		t.Errorf("made %+v, want %+v; problems %q", got.Made, want, got.Problems)
	}
}

func replaced(at int, with ...string) []string {
	lines := append([]string(nil), job10...)
	copy(lines[at:], with)
	return lines
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

func wantProblems(t *testing.T, got verify.Report, want []string) {
	t.Helper()
	ok := int(got.Failures) == len(want) && len(got.Problems) == len(want) && !got.OK()
	for i := 0; ok && i < len(want); i++ {
		ok = strings.Contains(got.Problems[i], want[i])
	}
	if !ok {
		t.Errorf("%d problems:\n%s\nwant:\n%s", got.Failures, strings.Join(got.Problems, "\n"), strings.Join(want, "\n"))
	}
}

// TestMany: of many problems all are counted, and some described.
func TestMany(t *testing.T) {
	t.Parallel()
	w := newWorld(t, many(300))
	w.fill(t, nil)
	if got := w.verify(t); got.Failures != 100 || len(got.Problems) != 20 {
		t.Errorf("%d problems, %d described; want 100 and 20", got.Failures, len(got.Problems))
	}
}

// TestStopped: the end of the context, or of the sink, is no verdict.
func TestStopped(t *testing.T) {
	t.Parallel()
	w := newWorld(t, job10)
	w.fill(t, w.results(t, job10Dead))
	f, err := sink.OpenFolder(w.sink, job, sink.FolderOptions{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := verify.Run(ctx, w.openSource(t), f); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped: %v", err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := verify.Run(t.Context(), w.openSource(t), f); !errors.Is(err, sink.ErrClosed) {
		t.Errorf("closed sink: %v", err)
	}
}
