package objectsink

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/sink/sinktest"
)

// A prefix with other objects is no sink, and is left unchanged.
func TestForeignPrefix(t *testing.T) {
	t.Parallel()
	for _, key := range []string{"out/readme.txt", "out/part-000001.jsonl", "out/" + manifestName, "out/.chunkline/other", "out/.chunkline/log/1"} {
		m := newMemory()
		m.put(key, []byte("mine"))
		if _, err := openIn(t.Context(), m, testSettings, sinktest.Job, Options{}); !errors.Is(err, sink.ErrNotSink) || !strings.Contains(err.Error(), "s3://data/"+key) {
			t.Errorf("open with %s: %v, want ErrNotSink", key, err)
		}
		if len(m.objects) != 1 {
			t.Errorf("with %s, the sink has written", key)
		}
	}
	m := newMemory() // its neighbours are none of its business
	m.put("out", []byte("mine"))
	m.put("outer/part-000001.jsonl", []byte("mine"))
	openTest(t, m)
}

// Objects that others have put in the place of the result are left unchanged.
func TestForeignResult(t *testing.T) {
	t.Parallel()
	m := newMemory()
	s := openTest(t, m)
	claim(t, s, "f1")
	all := sinktest.Chain("one", []int{1, -1}, []int{2})
	commit(t, s, all, sink.Committed, sink.Committed)
	finish(t, s, m, all)
	manifest := testSettings.prefix + manifestName
	for _, key := range m.keys("") {
		if s.entryNumber(key) > 0 {
			continue
		}
		old := m.objects[key]
		m.put(key, []byte("mine"))
		if _, err := s.Finish(t.Context(), 2, 3); !errors.Is(err, sink.ErrForeign) || !strings.Contains(err.Error(), key) {
			t.Errorf("finish with another %s: %v, want ErrForeign", key, err)
		}
		if string(m.objects[key].content) != "mine" {
			t.Errorf("%s is %q now", key, m.objects[key].content)
		}
		if key == manifest {
			if _, err := openIn(t.Context(), m, testSettings, sinktest.Job, Options{}); !errors.Is(err, sink.ErrForeign) {
				t.Errorf("open with another manifest: %v, want ErrForeign", err)
			}
		}
		m.objects[key] = old
	}
	stranger := testSettings.prefix + "part-000001-stranger.jsonl"
	m.put(stranger, []byte("mine"))
	if err := sinktest.Replace(t, s, sinktest.Chain("two", []int{1, 1})[0]); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Finish(t.Context(), 2, 3); err != nil {
		t.Error(err)
	}
	if string(m.objects[stranger].content) != "mine" {
		t.Error("a part that others have written was deleted with the job's old ones")
	}
	if _, err := openIn(t.Context(), m, testSettings, "otherjob", Options{}); !errors.Is(err, sink.ErrOtherJob) {
		t.Errorf("open for another job: %v, want ErrOtherJob", err)
	}
}

// A blind store ignores the conditions of writes.
type blind struct{ *memory }

func (b blind) Write(_ context.Context, key, _ string, content []byte, _ string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.put(key, content)
	return nil
}

// A server that ignores the conditions of writes is refused before a job begins.
func TestBlindServer(t *testing.T) {
	t.Parallel()
	b := blind{newMemory()}
	for range 2 {
		if _, err := openIn(t.Context(), b, testSettings, sinktest.Job, Options{}); !errors.Is(err, sink.ErrSettings) || !strings.Contains(err.Error(), "If-None-Match") {
			t.Errorf("open: %v, want ErrSettings", err)
		}
	}
}

// Reading changes nothing, and finds the job and the format of the parts.
func TestReadOnly(t *testing.T) {
	t.Parallel()
	m := newMemory()
	if _, err := openIn(t.Context(), m, testSettings, "", Options{ReadOnly: true}); !errors.Is(err, sink.ErrSettings) || errors.Is(err, sink.ErrUnreachable) || !strings.Contains(err.Error(), "no object matches s3://data/out/") {
		t.Errorf("open of nothing: %v, want ErrSettings", err)
	}
	o := testSettings
	o.format, o.size = "jsonl.gz", 1<<20
	s, err := openIn(t.Context(), m, o, sinktest.Job, Options{})
	if err != nil {
		t.Fatal(err)
	}
	claim(t, s, "f1")
	all := sinktest.Chain("one", []int{1, -1}, []int{2})
	commit(t, s, all, sink.Committed, sink.Committed)
	finish(t, s, m, all)
	sum := s.Summary()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	m.before = func(key string) error { t.Errorf("%s is written", key); return nil }
	reader, err := openIn(t.Context(), m, testSettings, "", Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	if reader.Summary() != sum || sum.Output != "s3://data/out/part-*.jsonl.gz" || sum.DeadFile != "s3://data/out/_dead-*.jsonl.gz" || reader.Job() != sinktest.Job {
		t.Errorf("job %s, summary %+v, want %+v", reader.Job(), reader.Summary(), sum)
	}
	if _, err := reader.Commit(t.Context(), all); !errors.Is(err, sink.ErrReadOnly) {
		t.Errorf("commit: %v, want ErrReadOnly", err)
	}
	if _, err := reader.OpenOutput(true); err == nil || !strings.Contains(err.Error(), sum.DeadFile) {
		t.Errorf("open of the result as a file: %v", err)
	}
}

// Another format makes another generation of the same results.
func TestAnotherFormat(t *testing.T) {
	t.Parallel()
	m := newMemory()
	s := openTest(t, m)
	claim(t, s, "f1")
	all := sinktest.Chain("one", []int{1, -1}, []int{2, 1, 1, 1})
	commit(t, s, all, sink.Committed, sink.Committed)
	finish(t, s, m, all)
	for _, format := range formats {
		o := testSettings
		if o.format = format; o.table() != 0 {
			continue // these outputs are no rows
		}
		again, err := openIn(t.Context(), m, o, sinktest.Job, Options{})
		if err != nil {
			t.Fatal(err)
		}
		finish(t, again, m, all)
		if err := again.Close(); err != nil {
			t.Error(err)
		}
		for _, key := range m.keys(testSettings.prefix + "part-") {
			if !strings.HasSuffix(key, "."+format) {
				t.Errorf("%s: there is %s", format, key)
			}
		}
	}
}

// TestOpenEnds: ^C ends the opening of a bucket whose server does not answer.
func TestOpenEnds(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if _, err := openIn(ctx, silent{newMemory()}, testSettings, sinktest.Job, Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("open: %v, want context.Canceled", err)
	}
}

// silent is a store that does not answer.
type silent struct{ *memory }

func (silent) List(ctx context.Context, _ string, _ func(key, version string, size int64)) error {
	<-ctx.Done()
	return ctx.Err()
}
