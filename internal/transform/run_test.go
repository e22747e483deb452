package transform

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/chunkline/chunkline/internal/chunk"
)

// mapFunc is a Transform of one function.
type mapFunc func(ctx context.Context, object, dst []byte) ([]byte, error)

func (f mapFunc) Map(ctx context.Context, object, dst []byte) ([]byte, error) {
	return f(ctx, object, dst)
}
func (f mapFunc) Close() error { return nil }

// value draws one JSON value, with what decoding would not keep.
func value(t *rapid.T) string {
	odd := rapid.SampledFrom([]string{
		`9007199254740993`, `1e400`, `-0`, `1.10`, `{"a":1,"a":2}`, `"\ud800"`, `"\udc00\ud800"`, `"\/\u0041"`, ` { "z" : 1 , "a" : [ ] } `, `null`, `""`,
	})
	plain := rapid.Custom(func(t *rapid.T) string {
		text, err := json.Marshal(rapid.MapOf(rapid.String(), rapid.String()).Draw(t, "map"))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	})
	return rapid.OneOf(odd, plain).Draw(t, "value")
}

func TestIdentityKeepsEveryByte(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		b := body(rapid.SliceOf(rapid.Custom(value)).Draw(t, "objects")...)
		before := bytes.Clone(b)
		out, err := Run(context.Background(), identity{}, b, nil, Options{})
		if err == nil {
			err = check(out, b)
		}
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(out.Lines, before) || !bytes.Equal(b, before) || len(out.Failed) > 0 {
			t.Fatalf("%q became %q, %v", before, out.Lines, out.Failed)
		}
	})
}

// Lines, counts and failures are consistent for any behaviour of a transform, and no object
// gets the lines of another.
func TestRunInvariants(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 20).Draw(t, "objects")
		var objects, want []string
		var failed []int
		for i := range n {
			outputs := rapid.IntRange(-1, 3).Draw(t, "outputs") // -1: an error
			objects = append(objects, fmt.Sprintf("[%d,%d]", i, outputs))
		}
		var skip []chunk.Flaw
		for i := range n {
			if rapid.IntRange(0, 4).Draw(t, "skip") == 0 {
				skip = append(skip, chunk.Flaw{Index: i, Reason: "skipped"})
			}
		}
		skip = rapid.Permutation(skip).Draw(t, "order")
		tr := mapFunc(func(_ context.Context, object, dst []byte) ([]byte, error) {
			var o [2]int
			if err := json.Unmarshal(object, &o); err != nil {
				return dst, err
			}
			for range max(o[1], 1) {
				if o[1] != 0 {
					dst = append(append(dst, object...), '\n') // also before an error
				}
			}
			if o[1] < 0 {
				return dst, errors.New("refused")
			}
			return dst, nil
		})
		for i, object := range objects {
			var o [2]int
			if err := json.Unmarshal([]byte(object), &o); err != nil {
				t.Fatal(err)
			}
			skipped := slices.ContainsFunc(skip, func(f chunk.Flaw) bool { return f.Index == i })
			if skipped || o[1] < 0 {
				failed = append(failed, i)
				continue
			}
			want = append(want, slices.Repeat([]string{object}, o[1])...)
		}
		out, err := Run(context.Background(), tr, body(objects...), skip, Options{})
		if err == nil {
			err = check(out, body(objects...))
		}
		if err != nil {
			t.Fatal(err)
		}
		if string(out.Lines) != string(body(want...)) {
			t.Fatalf("lines %q, want %q", out.Lines, want)
		}
		var got []int
		for _, f := range out.Failed {
			got = append(got, f.Index)
		}
		if !slices.Equal(got, failed) {
			t.Fatalf("failed %v, want %v", out.Failed, failed)
		}
	})
}

func TestRunSkips(t *testing.T) {
	t.Parallel()
	seen := 0
	tr := mapFunc(func(_ context.Context, object, dst []byte) ([]byte, error) {
		seen++
		return append(append(dst, object...), '\n'), nil
	})
	b := body(`{"bad":`, `1`, `2`)
	out := mustRun(t, tr, b, []chunk.Flaw{{Index: 2, Reason: "poison"}, {Index: 0, Reason: "not JSON"}, {Index: 2, Reason: "second"}}, Options{})
	wantLines(t, out, `1`)
	wantFailed(t, out, 0, "not JSON", 2, "poison")
	if seen != 1 {
		t.Errorf("%d objects were touched, want 1", seen)
	}
	for _, index := range []int{-1, 3} {
		if _, err := Run(t.Context(), tr, b, []chunk.Flaw{{Index: index}}, Options{}); err == nil {
			t.Errorf("skip of object %d of 3: no error", index)
		}
	}
}

func TestRunAnnounces(t *testing.T) {
	t.Parallel()
	var events []string
	tr := mapFunc(func(_ context.Context, object, dst []byte) ([]byte, error) {
		events = append(events, "map "+string(object))
		return dst, nil
	})
	before := func(index int) error {
		events = append(events, fmt.Sprint("before ", index))
		return nil
	}
	mustRun(t, tr, body(`"a"`, `"b"`, `"c"`), []chunk.Flaw{{Index: 1, Reason: "no"}}, Options{Before: before})
	want := []string{"before 0", `map "a"`, "before 2", `map "c"`}
	if !slices.Equal(events, want) {
		t.Errorf("events %q, want %q", events, want)
	}
	gone := errors.New("the bus is gone")
	_, err := Run(t.Context(), tr, body(`1`), nil, Options{Before: func(int) error { return gone }})
	if !errors.Is(err, gone) {
		t.Errorf("Run: %v, want %v", err, gone)
	}
}

func TestRunTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tr := mapFunc(func(ctx context.Context, object, dst []byte) ([]byte, error) {
			work := time.Second
			if string(object) == `"slow"` {
				work = time.Minute
			}
			select {
			case <-time.After(work):
				return append(append(dst, object...), '\n'), nil
			case <-ctx.Done():
				return dst, context.Cause(ctx)
			}
		})
		began := time.Now()
		out := mustRun(t, tr, body(`1`, `"slow"`, `3`), nil, Options{Timeout: 5 * time.Second})
		wantLines(t, out, `1`, `3`)
		wantFailed(t, out, 1, "no result within 5s (--timeout, TIMEOUT)")
		if took := time.Since(began); took != 7*time.Second {
			t.Errorf("took %v, want 7s: the timeout is for one object", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
		defer cancel()
		out, err := Run(ctx, tr, body(`"slow"`, `"slow"`, `1`), nil, Options{})
		if !errors.Is(err, context.DeadlineExceeded) || out.Lines != nil {
			t.Errorf("Run: %v, %v; want the end of its context and nothing else", out, err)
		}
	})
}

func TestRunBoundsOutputs(t *testing.T) {
	t.Parallel()
	tr := mapFunc(func(_ context.Context, object, dst []byte) ([]byte, error) {
		return append(append(append(dst, object...), '\n'), "11\n"...), nil
	})
	out := mustRun(t, tr, body(`1`, `1234`, `12345`, `2`), nil, Options{maxOutput: 8})
	wantLines(t, out, `1`, `11`, `1234`, `11`, `2`, `11`)
	wantFailed(t, out, 2, "larger than the limit of 8 bytes")

	unfinished := mapFunc(func(_ context.Context, object, dst []byte) ([]byte, error) { return append(dst, object...), nil })
	wantFailed(t, mustRun(t, unfinished, body(`1`), nil, Options{}), 0, "last output has no line break")
}

// TestRunLargestObject: the largest object that travels fits as an output, too,
// with its line break. The limit is lower here; test/corpus has it as it is.
func TestRunLargestObject(t *testing.T) {
	t.Parallel()
	const most = 1 << 20
	largest := `"` + strings.Repeat("x", most-2) + `"`
	if maxOutput != chunk.MaxObject+1 {
		t.Errorf("an output may have %d bytes, want those of the largest object and a line break", maxOutput)
	}
	for _, spec := range []string{"identity", "jq:.", "jq:. + \"x\""} {
		tr := mustNew(t, spec)
		if jq, is := tr.(*jqProcess); is {
			if jq.hello.Limit != chunk.MaxObject {
				t.Errorf("%s: an output may have %d bytes, want those of the largest object", spec, jq.hello.Limit)
			}
			jq.hello.Limit = most
		}
		out := mustRun(t, tr, body(largest), nil, Options{maxOutput: most + 1})
		if whole := len(out.Failed) == 0 && string(out.Lines) == largest+"\n"; whole == strings.Contains(spec, "+") {
			t.Errorf("%s: %d bytes, failed: %v", spec, len(out.Lines), out.Failed)
		}
	}
}

func TestRunShortensReasons(t *testing.T) {
	t.Parallel()
	tr := mapFunc(func(_ context.Context, object, dst []byte) ([]byte, error) {
		return dst, errors.New(string(object))
	})
	out := mustRun(t, tr, body("bad \xff byte", strings.Repeat("é", 5000), "x"+strings.Repeat("é", 5000), strings.Repeat("a\xff", 5000)), nil, Options{})
	if got, want := out.Failed[0].Err, "bad \uFFFD byte"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	for _, f := range out.Failed {
		if len(f.Err) > maxReason || !utf8.ValidString(f.Err) {
			t.Errorf("a reason of %d bytes, valid: %v", len(f.Err), utf8.ValidString(f.Err))
		}
	}
	if f := out.Failed[1]; len(f.Err) < maxReason-4 || !strings.HasSuffix(f.Err, "é…") {
		t.Errorf("the cut reason has %d bytes and ends in %q", len(f.Err), f.Err[len(f.Err)-6:])
	}
}

// A transform that never looks at its context ends with it all the same.
func TestRunEndsBetweenObjects(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	seen := 0
	tr := mapFunc(func(_ context.Context, _, dst []byte) ([]byte, error) {
		seen++
		cancel()
		return dst, nil
	})
	if _, err := Run(ctx, tr, body(`1`, `2`, `3`), nil, Options{}); !errors.Is(err, context.Canceled) || seen != 1 {
		t.Errorf("Run: %v after %d objects, want the end of its context after 1", err, seen)
	}
}

func TestRunOfNothing(t *testing.T) {
	t.Parallel()
	out := mustRun(t, mustNew(t, "identity"), nil, nil, Options{})
	if len(out.Counts)+len(out.Lines)+len(out.Failed) != 0 {
		t.Errorf("nothing became %+v", out)
	}
	out, err := Run(t.Context(), mustNew(t, "identity"), []byte(`1`), nil, Options{})
	if err != nil || string(out.Lines) != "1\n" || len(out.Counts) != 1 {
		t.Errorf("an object without line break: %+v, %v", out, err)
	}
}

func TestRun_totalTooLarge(t *testing.T) {
	t.Parallel()
	spec, err := Parse("identity")
	if err != nil {
		t.Fatal(err)
	}
	mapping, err := spec.New()
	if err != nil {
		t.Fatal(err)
	}
	out, err := Run(t.Context(), mapping, []byte("1111\n22222222\n333\n"), nil, Options{maxTotal: 10})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(out.Lines), "1111\n333\n"; got != want {
		t.Errorf("outputs %q, want %q", got, want)
	}
	if len(out.Failed) != 1 || out.Failed[0].Index != 1 || !strings.Contains(out.Failed[0].Err, "CHUNK_SIZE") {
		t.Errorf("failures %+v, want that of object 1, with the hint", out.Failed)
	}
}

// Growth sizes a buffer, and nothing else.
func TestRunGrowth(t *testing.T) {
	t.Parallel()
	b := body(slices.Repeat([]string{`{"uuid":"u","fn":"f","ln":"l","friends":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15]}`}, 100)...)
	want := slices.Repeat([]string{`{"id":"u","name":"f l"}`}, 100)
	tr := mustNew(t, "users")
	for _, growth := range []float64{0, math.NaN(), math.Inf(1), 1e-9, 0.1, 0.5, 1, 1e9} {
		out := mustRun(t, tr, b, nil, Options{Growth: growth})
		wantLines(t, out, want...)
		if growth >= 0.5 && cap(out.Lines) > 9*len(b)/8 {
			t.Errorf("growth %g: room for %d bytes of outputs, the body has %d", growth, cap(out.Lines), len(b))
		}
	}
	exact := float64(24*100) / float64(len(b))
	if out := mustRun(t, tr, b, nil, Options{Growth: exact}); cap(out.Lines) > 5*len(out.Lines)/4 {
		t.Errorf("room for %d bytes of outputs, they have %d", cap(out.Lines), len(out.Lines))
	}
}
