package transform

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/chunkline/chunkline/internal/webservice"
)

// An object waits as long as the service and the backoff ask for, and the others are
// mapped meanwhile.
func TestRetryWaits(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		after func() string // the header Retry-After
		waits []time.Duration
	}{
		{"backoff", func() string { return "" }, []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second, 20 * time.Second, 20 * time.Second}},
		{"seconds", func() string { return "7" }, []time.Duration{8 * time.Second, 9 * time.Second}},
		{"date", func() string { return time.Now().Add(7 * time.Second).UTC().Format(http.TimeFormat) }, []time.Duration{8 * time.Second, 9 * time.Second}},
		{"date in the past", func() string { return "Fri, 31 Dec 1999 23:59:59 GMT" }, []time.Duration{time.Second}},
		{"too long", func() string { return "86400" }, []time.Duration{61 * time.Second}},
		{"far too long", func() string { return "99999999999999999999" }, []time.Duration{61 * time.Second}},
		{"nonsense", func() string { return "soon" }, []time.Duration{time.Second}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var waits []time.Duration
				var last time.Time
				f := serve(t, func(w http.ResponseWriter, r *http.Request, body string) {
					if body != `2` {
						echo(w, r, body)
						return
					}
					if !last.IsZero() {
						waits = append(waits, time.Since(last))
					}
					last = time.Now()
					if len(waits) == len(c.waits) {
						echo(w, r, body)
						return
					}
					if text := c.after(); text != "" {
						w.Header().Set("Retry-After", text)
					}
					w.WriteHeader(http.StatusTooManyRequests)
				})
				var retries []Retry
				out := mustRun(t, f.transform(t, ""), body(`1`, `2`, `3`), nil, Options{
					Retries: len(c.waits), Timeout: time.Millisecond, jitter: whole, Retrying: func(r Retry) { retries = append(retries, r) },
				})
				wantLines(t, out, `1`, `2`, `3`)
				wantFailed(t, out)
				if !slices.Equal(waits, c.waits) {
					t.Errorf("waits %v, want %v", waits, c.waits)
				}
				if asked := f.requests(); !slices.Equal(asked[:4], []string{`1`, `2`, `3`, `2`}) {
					t.Errorf("requests %q: another object waited", asked)
				}
				if len(retries) != len(waits) || retries[0] != (Retry{Index: 1, Try: 2, Wait: waits[0], Err: "the service answers 429 Too Many Requests"}) {
					t.Errorf("got the retries %+v", retries)
				}
			})
		})
	}
}

// The jitter is full: every wait from 0 to the whole backoff is possible.
func TestRetryJitter(t *testing.T) {
	t.Parallel()
	r := newRetries(Options{})
	least, most := time.Hour, time.Duration(0)
	for range 10_000 {
		w := r.wait(3, 0)
		least, most = min(least, w), max(most, w)
	}
	if least > 40*time.Millisecond || most < 3960*time.Millisecond || most > 4*time.Second {
		t.Errorf("waits from %v to %v, want 0s to 4s", least, most)
	}
}

// flaky is a transform whose objects fail temporarily a number of times.
type flaky struct{ left map[string]int }

func (f *flaky) Map(_ context.Context, object, dst []byte) ([]byte, error) {
	name := string(object)
	if f.left[name]--; f.left[name] >= 0 {
		return append(dst, "garbage\n"...), &webservice.TemporaryError{Err: errors.New("not now")}
	}
	for range len(name) { // as many outputs as the name has letters
		dst = append(append(dst, name...), '\n')
	}
	return dst, nil
}
func (f *flaky) Close() error { return nil }

// Outputs and failures are in the order of the objects, whichever objects fail and however
// often.
func TestRetryKeepsOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		names := rapid.SliceOfNDistinct(rapid.StringMatching(`[1-9][0-9]{0,3}`), 1, 20, rapid.ID).Draw(rt, "names")
		retries := rapid.IntRange(0, 3).Draw(rt, "retries")
		f := &flaky{left: map[string]int{}}
		var want []string
		var failed []any
		for i, name := range names {
			f.left[name] = rapid.IntRange(0, 5).Draw(rt, "failures")
			switch {
			case f.left[name] <= retries:
				want = append(want, slices.Repeat([]string{name}, len(name))...)
			case retries == 0:
				failed = append(failed, i, "not now")
			default:
				failed = append(failed, i, fmt.Sprintf("tried %d times: not now", retries+1))
			}
		}
		final := map[int]int{}
		synctest.Test(t, func(t *testing.T) {
			out := mustRun(t, f, body(names...), nil, Options{Retries: retries, After: func(i int, _ *Failure) { final[i]++ }})
			wantLines(t, out, want...)
			wantFailed(t, out, failed...)
		})
		for i := range names {
			if final[i] != 1 {
				rt.Errorf("After was called %d times for object %d", final[i], i)
			}
		}
	})
}

// The outputs of a chunk are bounded with those of retried objects.
func TestRetryBoundsTotal(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &flaky{left: map[string]int{"1": 1}}
		out := mustRun(t, f, body("1", "22", "3"), nil, Options{Retries: 1, maxTotal: 9})
		wantLines(t, out, "22", "22", "3")
		wantFailed(t, out, 0, "the outputs of its chunk are larger than the limit of 9 bytes")
	})
}

// In careful mode no object is announced while all wait.
func TestRetryAnnounces(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var announced []int
		f := &flaky{left: map[string]int{"2": 1}}
		mustRun(t, f, body("1", "2", "3"), nil, Options{Retries: 1, Before: func(i int) error { announced = append(announced, i); return nil }})
		if want := []int{0, 1, 2, 3, 1}; !slices.Equal(announced, want) {
			t.Errorf("announced %v, want %v", announced, want)
		}
	})
}

// A chunk that is dropped does not wait.
func TestRetryEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		f := &flaky{left: map[string]int{"1": 10}}
		began := time.Now()
		_, err := Run(ctx, f, body("1"), nil, Options{Retries: 10, jitter: whole})
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != 1500*time.Millisecond {
			t.Errorf("Run: %v after %v, want the end of its context after 1.5s", err, time.Since(began))
		}
	})
}

// The objects of a batch wait together, and are a batch again.
func TestRetryKeepsBatches(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		down := 3
		f := serve(t, func(w http.ResponseWriter, r *http.Request, body string) {
			if down--; down >= 0 {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			echo(w, r, body)
		})
		out := mustRun(t, f.transform(t, "#batch=2"), body(`1`, `2`, `3`), nil, Options{Retries: 3})
		wantLines(t, out, `1`, `2`, `3`)
		got := f.requests()
		slices.Sort(got) // the two batches may wait for different times
		if want := []string{"[1,2]", "[1,2]", "[3]", "[3]"}; len(got) != 5 || !slices.Equal(slices.Compact(got), slices.Compact(want)) {
			t.Errorf("requests %q, want only %q", got, want)
		}
	})
}

// Without retries, and with the last one, the objects of a batch that fails are asked
// one by one.
func TestRetryLastTryIsAlone(t *testing.T) {
	t.Parallel()
	for retries, want := range [][]string{{"[1,2]", "[1]", "[2]"}, {"[1,2]", "[1]", "[2]"}, {"[1,2]", "[1,2]", "[1]", "[2]"}} {
		t.Run(strconv.Itoa(retries), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := serve(t, func(w http.ResponseWriter, _ *http.Request, _ string) { w.WriteHeader(http.StatusInternalServerError) })
				again := 0
				out := mustRun(t, f.transform(t, "#batch=2"), body(`1`, `2`), nil, Options{Retries: retries, Again: func(objects int) { again += objects }})
				wantFailed(t, out, 0, "the service answers 500", 1, "the service answers 500")
				if got := f.requests(); !slices.Equal(got, want) {
					t.Errorf("requests %q, want %q", got, want)
				}
				if want := 2 * max(1, retries); again != want {
					t.Errorf("%d objects were tried again, want %d", again, want)
				}
			})
		})
	}
}

func TestReadFailure(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		message string
		retry   bool
		after   time.Duration
		want    string
	}{
		{"no such user", false, 0, "no such user"},
		{"", false, 0, "the program gave no reason"},
		{"retry", true, 0, "the program gave no reason"},
		{"retry the model is loading", true, 0, "the model is loading"},
		{"retry 5s the model is loading", true, 5 * time.Second, "the model is loading"},
		{"retry 1m30s", true, 90 * time.Second, "the program gave no reason"},
		{"retry 5 users are missing", true, 0, "5 users are missing"},
		{"retry -5s x", true, 0, "-5s x"},
		{"retrying is no use", false, 0, "retrying is no use"},
		{"Retry later", false, 0, "Retry later"},
	} {
		err := readFailure(c.message)
		temporary, retry := errors.AsType[*webservice.TemporaryError](err)
		if err.Error() != c.want || retry != c.retry || retry && temporary.After != c.after {
			t.Errorf("%q: %v, retry %v, %+v", c.message, err, retry, temporary)
		}
	}
}

// A program may ask for another try, also beside crashes and surplus lines.
func TestRetryExec(t *testing.T) {
	t.Parallel()
	inModes(t, func(t *testing.T, trusted bool) {
		dir := t.TempDir()
		mark := func(name string) string { return filepath.Join(dir, name) }
		b := wishes(wish{ID: 0, Do: "retry", Mark: mark("0")}, wish{ID: 1}, wish{ID: 2, Do: "retry"}, wish{ID: 3, Do: "crash", Mark: mark("3")},
			wish{ID: 4, Do: "retry", Mark: mark("4")}, wish{ID: 5, Do: "error"}, wish{ID: 6, Do: "two"})
		none := func(time.Duration) time.Duration { return 0 }
		out := mustRun(t, newFake(t, trusted), b, nil, Options{Retries: 2, jitter: none})
		wantLines(t, out, `{"id":0}`, `{"id":1}`, `{"id":3}`, `{"id":4}`)
		wantFailed(t, out, 2, "tried 3 times: later, please", 5, "no such user", 6, "more than one line")
	})
}

// A process that fails at a retry makes no earlier object be mapped again.
func TestRetryRetraces(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &scripted{crashes: map[string]int{}}
		f := &crashesAtRetry{scripted: s, later: map[string]int{"1": 1, "3": 1}}
		out := mustRun(t, f, body("0", "1", "2", "3", "4"), nil, Options{Retries: 1, jitter: func(time.Duration) time.Duration { return 0 }})
		wantLines(t, out, "0", "1", "2", "3", "4")
		if got, want := strings.Join(s.calls, " "), "0 2 4 prove 1 3 1 prove 3"; got != want {
			t.Errorf("calls %s, want %s", got, want)
		}
	})
}

// crashesAtRetry is a scripted transform in which the objects of later fail
// temporarily first, and the process ends at the retry of 3.
type crashesAtRetry struct {
	*scripted
	later map[string]int
}

func (c *crashesAtRetry) Map(ctx context.Context, object, dst []byte) ([]byte, error) {
	name := string(object)
	if c.later[name]--; c.later[name] >= 0 {
		if name == "3" {
			c.crashes[name] = 1
		}
		return dst, &webservice.TemporaryError{Err: io.ErrNoProgress}
	}
	return c.scripted.Map(ctx, object, dst)
}
