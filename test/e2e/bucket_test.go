package e2e

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"github.com/chunkline/chunkline/test/proc"
)

// TestSaverOfBucket: a saver whose sink is a bucket is killed after the bucket has stored a commit, a part of the
// result and the manifest, each time before it gets the answer, and started again. Every object is in the result once.
func TestSaverOfBucket(t *testing.T) {
	t.Parallel()
	bucket := newBucket(t, "/data/out/.chunkline/log/00000000000000000004", "/data/out/part-", "/data/out/_manifest.json")
	j := newJob(t, 2000)
	j.Out = "s3://data/out"
	access := []string{"AWS_ENDPOINT_URL=" + bucket.url, "AWS_ACCESS_KEY_ID=AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY=canary-secret", "AWS_REGION=eu-central-1"}
	saver, fetcher := j.Saver(access...), j.Fetcher("ON_DONE=exit")
	mapper := j.Mapper("mapper", "users?duration=20ms", "WORKERS=1") // so that there are several commits
	for range bucket.silent {
		<-bucket.stored
		saver.Kill()
		saver.Start()
	}
	if code := fetcher.Exit(); code != 0 {
		t.Errorf("the fetcher ended with %d: %s", code, fetcher.Tail())
	}
	proc.End(t, mapper, saver)
	if strings.Contains(saver.Log(), "canary-secret") {
		t.Error("the saver has logged the secret key")
	}
	if stdout, stderr, code := proc.Run(t, access, "chunkline", "verify", "-o", j.Out); code != 0 {
		t.Errorf("verify: exit %d\n%s%s", code, stdout, stderr)
	}
	result := filepath.Join(j.Dir, "result.jsonl")
	if _, stderr, code := proc.Run(t, access, "chunkline", "run", "-i", j.Out+"/part-*", "-o", result, "-t", "identity"); code != 0 {
		t.Fatalf("read the parts: exit %d: %s", code, stderr)
	}
	proc.Check(t, j.Source, result, filepath.Join(j.Dir, "no dead letters"), "")
}

// bucket is a server that stands in for S3.
type bucket struct {
	url    string
	silent []string      // beginnings of paths: the first write of each is stored and never answered
	stored chan struct{} // gets a value when that has happened

	mu   sync.Mutex
	next int // in silent
}

func newBucket(t *testing.T, silent ...string) *bucket {
	t.Helper()
	backend := s3mem.New()
	if err := backend.CreateBucket("data"); err != nil {
		t.Fatal(err)
	}
	b := &bucket{silent: silent, stored: make(chan struct{})}
	s3 := gofakes3.New(backend).Server()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !b.isSilent(r) {
			s3.ServeHTTP(w, r)
			return
		}
		s3.ServeHTTP(httptest.NewRecorder(), r)
		b.stored <- struct{}{}
		<-r.Context().Done() // the client was killed
	}))
	t.Cleanup(server.Close) // after the processes have ended
	b.url = server.URL
	return b
}

// isSilent reports whether a request is the next write that gets no answer.
func (b *bucket) isSilent(r *http.Request) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if r.Method != http.MethodPut || b.next == len(b.silent) || !strings.HasPrefix(r.URL.Path, b.silent[b.next]) {
		return false
	}
	b.next++
	return true
}
