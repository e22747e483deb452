package objectsink

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/chunkline/chunkline/internal/bucket"
	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/sink/sinktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A memory is a store that can fail. It has the conditions of writes.
type memory struct {
	mu       sync.Mutex
	objects  map[string]object
	versions int

	// before and after are called for each Write and Delete, and may return an error instead of the answer: before it
	// changes something, or after that. nil: no failure.
	before, after func(key string) error
	// reading is called for each Read.
	reading func(key string) error
}

type object struct {
	content []byte
	version string
}

func newMemory() *memory { return &memory{objects: map[string]object{}} }

func call(hook func(string) error, key string) error {
	if hook == nil {
		return nil
	}
	return hook(key)
}

func (m *memory) List(_ context.Context, prefix string, found func(key, version string, size int64)) error {
	m.mu.Lock()
	objects := maps.Clone(m.objects)
	m.mu.Unlock()
	for _, key := range slices.Sorted(maps.Keys(objects)) {
		if strings.HasPrefix(key, prefix) {
			found(key, objects[key].version, int64(len(objects[key].content)))
		}
	}
	return nil
}

func (m *memory) Read(_ context.Context, key, _ string, offset, length int64) (io.ReadCloser, error) {
	if err := call(m.reading, key); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	o, there := m.objects[key]
	if !there {
		return nil, bucket.ErrGone
	}
	rest := o.content[min(offset, int64(len(o.content))):]
	if length >= 0 {
		rest = rest[:min(length, int64(len(rest)))]
	}
	return io.NopCloser(bytes.NewReader(rest)), nil
}

func (m *memory) Write(_ context.Context, key, _ string, content []byte, replaces string) error {
	if err := call(m.before, key); err != nil {
		return err
	}
	m.mu.Lock()
	old := m.objects[key]
	if old.version != replaces {
		m.mu.Unlock()
		return bucket.ErrTaken
	}
	m.put(key, content)
	m.mu.Unlock()
	return call(m.after, key)
}

// put stores an object, whatever is there. Call it with mu held, or when no sink is at work.
func (m *memory) put(key string, content []byte) {
	m.versions++
	m.objects[key] = object{bytes.Clone(content), fmt.Sprint(m.versions)}
}

func (m *memory) Delete(_ context.Context, key string) error {
	if err := call(m.before, key); err != nil {
		return err
	}
	m.mu.Lock()
	delete(m.objects, key)
	m.mu.Unlock()
	return call(m.after, key)
}

func (m *memory) Close() error { return nil }

// copy returns a store with the same objects, and no failures.
func (m *memory) copy() *memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	return &memory{objects: maps.Clone(m.objects), versions: m.versions}
}

// keys returns the keys that begin with prefix, without it.
func (m *memory) keys(prefix string) (all []string) {
	_ = m.List(context.Background(), prefix, func(key, _ string, _ int64) { all = append(all, key[len(prefix):]) })
	return all
}

// testSettings make small parts.
var testSettings = settings{scheme: "s3://", bucket: "data", prefix: "out/", format: "jsonl", size: 60}

// openTest opens a sink of the suite's job that the end of the test closes.
func openTest(t *testing.T, in bucket.Bucket) *Sink {
	t.Helper()
	s, err := openIn(t.Context(), in, testSettings, sinktest.Job, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil && !errors.Is(err, sink.ErrClosed) {
			t.Error(err)
		}
	})
	return s
}

func claim(t *testing.T, s *Sink, fetcher string) {
	t.Helper()
	if _, err := s.Claim(t.Context(), sinktest.Plan("a"), fetcher); err != nil {
		t.Fatal(err)
	}
}

// commit commits a group and checks the outcomes.
func commit(t *testing.T, s *Sink, group []sink.Result, want ...sink.Outcome) {
	t.Helper()
	got, err := s.Commit(t.Context(), group)
	if err != nil || !slices.Equal(got, want) {
		t.Fatalf("outcomes are %v, %v; want %v", got, err, want)
	}
}

// finish finishes the job of all results, and checks what a reader of the bucket finds.
func finish(t *testing.T, s *Sink, m *memory, all []sink.Result) {
	t.Helper()
	want, outputs, dead := sinktest.Expect(all...)
	if _, err := s.Finish(t.Context(), want.Chunks, want.Objects); err != nil {
		t.Fatal(err)
	}
	wantResult(t, m, outputs, dead)
}

// wantResult checks that the manifest lists parts with these outputs and dead letters, and that no other parts are there.
func wantResult(t *testing.T, m *memory, outputs, dead []byte) {
	t.Helper()
	gotOutputs, gotDead, names := readResult(t, m)
	if !bytes.Equal(gotOutputs, outputs) || !bytes.Equal(gotDead, dead) {
		t.Fatalf("the parts have outputs %.300q and dead letters %.300q, want %.300q and %.300q", gotOutputs, gotDead, outputs, dead)
	}
	var there []string
	for _, name := range m.keys(testSettings.prefix) {
		if !strings.HasPrefix(name, ".chunkline/") && name != manifestName {
			there = append(there, name)
		}
	}
	slices.Sort(names)
	if !slices.Equal(there, names) {
		t.Fatalf("the bucket has %q, the manifest %q", there, names)
	}
}
