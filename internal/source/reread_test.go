package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"

	"github.com/chunkline/chunkline/internal/chunk"
)

// same reports whether two chunks agree in everything.
func same(a, b chunk.Chunk) bool {
	return a.ID == b.ID && a.First == b.First && a.Count == b.Count && a.Digest() == b.Digest() && slices.Equal(a.Bad, b.Bad)
}

func TestReread_whileNextRuns(t *testing.T) {
	t.Parallel()
	folder := write(t, "a.jsonl", numbers(0, 950, "{\"n\":%d}\n"), "b.json", "["+numbers(0, 950, "\n[%d],")+"{}]", "c.jsonl", "1\n"+numbers(0, 30, "x%d\n"))
	s := open(t, folder+"/*", 100, 1000, nil)
	if !s.Rereads() {
		t.Fatal("plain files cannot be read again")
	}
	var all sync.WaitGroup
	chunks := 0
	for {
		c, m, err := s.Next(t.Context())
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		chunks++
		for range 2 {
			all.Go(func() {
				again, err := s.Reread(t.Context(), m)
				if err != nil || !same(again, c) {
					t.Errorf("chunk %d again: %d objects from %d, %v, want %d from %d", c.ID, again.Count, again.First, err, c.Count, c.First)
				}
				s.Progress()
			})
		}
	}
	all.Wait()
	if chunks < 20 {
		t.Errorf("%d chunks, want 20 and more", chunks)
	}
	if read, total := s.Progress(); read != total {
		t.Errorf("progress %d of %d: reading again must not count", read, total)
	}
}

// A mark works in another process with the same plan.
func TestReread_otherSource(t *testing.T) {
	t.Parallel()
	path := filepath.Join(write(t, "a", numbers(0, 25, "%d\n")), "a")
	cuts, err := drain(open(t, path, 10, 1000, nil))
	if err != nil || len(cuts) != 3 {
		t.Fatalf("%d chunks, %v, want 3", len(cuts), err)
	}
	fresh := open(t, path, 10, 1000, nil)
	for _, c := range slices.Backward(cuts) {
		if again, err := fresh.Reread(t.Context(), c.Mark); err != nil || !same(again, c.Chunk) {
			t.Errorf("chunk %d: %v, %v", c.Chunk.ID, again, err)
		}
	}
	for _, bad := range []Mark{{}, {Place: chunk.Place{File: 1}, Count: 1}, {Place: chunk.Place{File: -1}, Count: 1}, {Count: 11}} {
		if _, err := fresh.Reread(t.Context(), bad); err == nil || !strings.Contains(err.Error(), "not of this source") {
			t.Errorf("mark %+v: %v, want an error", bad, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := fresh.Reread(ctx, cuts[0].Mark); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v, want %v", err, context.Canceled)
	}
}

func TestReread_unsupported(t *testing.T) {
	t.Parallel()
	folder := write(t, "a.gz", gz("1\n"), "b.zst", zst(t, "1\n"), "c", "1\n")
	for spec, stdin := range map[string]io.Reader{
		folder + "/a.gz": nil, folder + "/b.zst": nil, folder + "/*": nil, "-": strings.NewReader("1\n"),
	} {
		s := open(t, spec, 10, 100, stdin)
		_, m, err := s.Next(t.Context())
		if err != nil || s.Rereads() {
			t.Errorf("%s: %v, rereads %v, want false", spec, err, s.Rereads())
		}
		if _, err := s.Reread(t.Context(), m); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%s: Reread: %v, want %v", spec, err, errors.ErrUnsupported)
		}
	}
}

func TestReread_changedFile(t *testing.T) {
	t.Parallel()
	const content = "10\n11\n12\n13\n14\n"
	replace := func(with string) func(string) error {
		return func(path string) error { // by rename, like editors
			if err := os.WriteFile(path+".new", []byte(with), 0o644); err != nil {
				return err
			}
			return os.Rename(path+".new", path)
		}
	}
	for _, c := range []struct {
		name   string
		change func(path string) error
		want   [3]string // the body of each chunk, or the error
	}{
		{"unchanged", func(string) error { return nil }, [3]string{"10\n11\n", "12\n13\n", "14\n"}},
		{"edited", replace("10\n11\n12\n23\n14\n"), [3]string{"10\n11\n", "12\n23\n", "14\n"}},
		{"appended to", replace(content + "15\n16\n"), [3]string{"10\n11\n", "12\n13\n", "14\n"}},
		{"bytes added", replace("99" + content), [3]string{"9910\n11\n", "1\n12\n", "3\n"}},
		{"truncated", func(path string) error { return os.Truncate(path, 7) }, [3]string{"10\n11\n", "source changed: 1 objects instead of 2", "source changed: the file has only 7 bytes now"}},
		{"emptied", replace(""), [3]string{"source changed: 0 objects instead of 2", "source changed: the file has only 0 bytes now", "source changed"}},
		{"removed", os.Remove, [3]string{"no such file", "no such file", "source changed"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(write(t, "a", content), "a")
			s := open(t, path, 2, 100, nil)
			cuts, err := drain(s)
			if err != nil || len(cuts) != 3 {
				t.Fatalf("%d chunks, %v, want 3", len(cuts), err)
			}
			if err := c.change(path); err != nil {
				t.Fatal(err)
			}
			for i, want := range c.want {
				again, err := s.Reread(t.Context(), cuts[i].Mark)
				if strings.HasSuffix(want, "\n") {
					if err != nil || string(again.Body) != want || (again.Digest() == cuts[i].Digest()) != (want == string(cuts[i].Body)) {
						t.Errorf("chunk %d: %q, %v, want %q", i, again.Body, err, want)
					}
					continue
				}
				if !errors.Is(err, ErrChanged) || !strings.Contains(fmt.Sprint(err), want) || !strings.Contains(fmt.Sprint(err), path) {
					t.Errorf("chunk %d: %q, %v, want an error with %q", i, again.Body, err, want)
				}
			}
		})
	}
}

func TestSource_properties(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	line := rapid.OneOf(rapid.StringMatching(`[0-9]{1,12}`), rapid.SampledFrom([]string{`{"a":[1,"],["]}`, `x`, "\"\xff\"", ``, ` `, "[1]", "\r"}))
	rapid.Check(t, func(t *rapid.T) {
		var spec []string
		var contents []string
		for i := range rapid.IntRange(1, 4).Draw(t, "files") {
			lines := rapid.SliceOfN(line, 0, 12).Draw(t, "lines")
			content := strings.Join(lines, "\n")
			if rapid.Bool().Draw(t, "array") {
				content = "[" + strings.Join(lines, " ,\n") + "]\n"
			}
			if rapid.Bool().Draw(t, "values") {
				content = strings.NewReplacer("\n", " ", "{", "{\n ", "[", "[\n ").Replace(content)
			}
			path := filepath.Join(folder, strconv.Itoa(i))
			if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
			spec, contents = append(spec, path), append(contents, content)
		}
		size, most := rapid.IntRange(1, 5).Draw(t, "size"), rapid.IntRange(1, 40).Draw(t, "bytes")
		s, err := Open(Options{Size: size, Bytes: most}, strings.Join(spec, ","))
		if errors.Is(err, ErrSettings) && (strings.Contains(err.Error(), "one array on one line") || strings.Contains(err.Error(), "none of the first")) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		cuts, ended := drain(s)
		if _, ok := errors.AsType[*chunk.InputError](ended); ended != nil && !ok {
			t.Fatal(ended)
		}

		// All objects of all files, each read by itself, and nothing else.
		var want, bodies []string
		for i, content := range contents {
			o := chunk.ScanOptions{Decide: func(g chunk.Guess) (chunk.Format, error) {
				if g == chunk.IsOneLine {
					return s.(*files).oneLine, nil
				}
				return g.Format(), nil
			}}
			if len(contents) > 1 {
				o.Name = spec[i]
			}
			scanner := chunk.NewScanner(iotest.OneByteReader(strings.NewReader(content)), o)
			var object chunk.Object
			for object, err = scanner.Next(); err == nil; object, err = scanner.Next() {
				text := string(object.Bytes)
				bodies = append(bodies, text+"\n")
				if object.Flaw != "" {
					text += " ! " + object.Flaw
				}
				want = append(want, text)
			}
			if !errors.Is(err, io.EOF) {
				break
			}
		}
		if ended != nil { // objects before the error that fill no chunk are missing
			got := objects(cuts)
			want, bodies = want[:min(len(want), len(got))], bodies[:min(len(bodies), len(got))]
		} else if !errors.Is(err, io.EOF) {
			t.Fatalf("%q was read to its end, not to the error %v", contents, err)
		}
		if got := objects(cuts); !slices.Equal(got, want) {
			t.Fatalf("objects of %q\n got %q\nwant %q", contents, got, want)
		}
		var body strings.Builder
		for _, c := range cuts {
			body.Write(c.Body)
		}
		if got := body.String(); got != strings.Join(bodies, "") {
			t.Fatalf("bodies %q, want %q", got, bodies)
		}

		for _, c := range cuts {
			if again, err := s.Reread(t.Context(), c.Mark); err != nil || !same(again, c.Chunk) {
				t.Fatalf("chunk %d of %q again: %q, %v, want %q", c.Chunk.ID, contents, again.Body, err, c.Body)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// replaceFile replaces the content of a file.
func replaceFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}
