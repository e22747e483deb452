package source

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"regexp"
	"strings"
	"testing"
)

func users(t *testing.T, n int, seed uint64) string {
	t.Helper()
	var b strings.Builder
	if err := WriteUsers(t.Context(), &b, n, seed); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestWriteUsers_shape(t *testing.T) {
	t.Parallel()
	const n = 5000
	form := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	seen := make(map[string]bool)
	friends := make(map[int]int)
	full := make(map[string]bool)
	cuts, err := drain(open(t, "-", 100, 1<<20, strings.NewReader(users(t, n, 1))))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range objects(cuts) {
		var u struct {
			UUID    string   `json:"uuid"`
			First   string   `json:"fn"`
			Last    string   `json:"ln"`
			Friends []string `json:"friends"`
		}
		d := json.NewDecoder(strings.NewReader(line))
		d.DisallowUnknownFields()
		if err := d.Decode(&u); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if !form.MatchString(u.UUID) || seen[u.UUID] || u.First == "" || u.Last == "" || u.Friends == nil || len(u.Friends) > maxFriends {
			t.Fatalf("user %s", line)
		}
		once := make(map[string]bool)
		for _, f := range u.Friends {
			if !seen[f] || once[f] {
				t.Fatalf("friend %s of %s is not an earlier user, or is listed twice", f, line)
			}
			once[f] = true
		}
		seen[u.UUID] = true
		friends[len(u.Friends)]++
		full[u.First+u.Last] = true
	}
	if len(seen) != n || len(full) < 200 {
		t.Errorf("%d users of %d names, want %d of 200 and more", len(seen), len(full), n)
	}
	for count := range maxFriends + 1 {
		if friends[count] < n/20 {
			t.Errorf("%d users of %d have %d friends, want about a ninth", friends[count], n, count)
		}
	}
}

func TestWriteUsers_sameBytes(t *testing.T) {
	t.Parallel()
	all := users(t, 1000, 7)
	if users(t, 1000, 7) != all || !strings.HasPrefix(all, users(t, 10, 7)) || users(t, 1000, 8) == all {
		t.Error("the users depend on more than seed and number")
	}
	if got := users(t, 0, 7) + users(t, -1, 7); got != "" {
		t.Errorf("no users: %q", got)
	}
	// They must be the same in every version, on every machine.
	lines := strings.Split(users(t, 12, 1), "\n")
	for i, want := range map[int]string{
		0:  `{"uuid":"7ab40e09-0f36-4a7d-b92c-ce7aba10ca24","fn":"Tony","ln":"Hoare","friends":[]}`,
		11: `{"uuid":"59c2f5c6-cabc-427c-804f-6fde8e86a7d9","fn":"Dennis","ln":"Hamilton","friends":["05a11e90-2289-49ec-94bf-c22865d0aaf2","94d8271e-fede-47a4-ba46-7ed9eb216d45"]}`,
	} {
		if lines[i] != want {
			t.Errorf("user %d\n got %s\nwant %s", i, lines[i], want)
		}
	}
}

func TestWriteUsers_errors(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for _, n := range []int{1, 100_000} {
		if err := WriteUsers(t.Context(), brokenWriter{broken}, n, 1); !errors.Is(err, broken) {
			t.Errorf("%d users: %v, want %v", n, err, broken)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var b bytes.Buffer
	if err := WriteUsers(ctx, &b, 100_000, 1); !errors.Is(err, context.Canceled) || b.Len() > 0 {
		t.Errorf("cancelled: %v and %d bytes, want %v and none", err, b.Len(), context.Canceled)
	}
}

type brokenWriter struct{ err error }

func (w brokenWriter) Write([]byte) (int, error) { return 0, w.err }

func BenchmarkWriteUsers(b *testing.B) {
	const n = 10_000
	for b.Loop() {
		if err := WriteUsers(b.Context(), io.Discard, n, 1); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "objects/s")
}
