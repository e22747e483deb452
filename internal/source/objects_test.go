package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"github.com/chunkline/chunkline/internal/bucket"
	"github.com/chunkline/chunkline/internal/bucket/buckettest"
)

// fakeS3 is that of buckettest. It checks no signatures and ignores If-Match on reads, so the tests of refusals and of
// broken connections have their own servers or stores.
type fakeS3 struct{ *s3mem.Backend }

func (f fakeS3) put(t *testing.T, key, content string) {
	t.Helper()
	if _, err := f.PutObject("data", key, map[string]string{"Last-Modified": "Mon, 02 Jan 2006 15:04:05 GMT"}, strings.NewReader(content), int64(len(content)), nil); err != nil {
		t.Fatal(err)
	}
}

// drainObjects reads a source to its end, and each chunk again if the source can do that.
func drainObjects(t *testing.T, spec string) (identity string, all []string, err error) {
	t.Helper()
	s, err := Open(Options{Size: 2, Bytes: 1000}, spec)
	if err != nil {
		return "", nil, err
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	cuts, err := drain(s)
	if s.Rereads() {
		for _, c := range cuts {
			if again, err := s.Reread(t.Context(), c.Mark); err != nil || !same(again, c.Chunk) {
				t.Errorf("%s: chunk %d again: %q, %v, want %q", spec, c.Chunk.ID, again.Body, err, c.Body)
			}
		}
	}
	return s.Identity(), objects(cuts), err
}

// TestObjects reads objects in buckets of each kind. Its specs are those of S3, and have the scheme of the kind in its
// place.
func TestObjects(t *testing.T) {
	t.Run("s3", func(t *testing.T) {
		f := fakeS3{buckettest.StartS3(t, nil)}
		checkObjects(t, "s3://", func(key, content string) { f.put(t, key, content) })
	})
	for _, kind := range buckettest.Kinds {
		t.Run(strings.TrimSuffix(kind.Scheme, "://"), func(t *testing.T) {
			checkObjects(t, kind.Scheme, kind.Start(t, nil).Put)
		})
	}
}

func checkObjects(t *testing.T, scheme string, put func(key, content string)) {
	of := func(spec string) string { return strings.ReplaceAll(spec, "s3://", scheme) }
	put("logs/2024/b.jsonl", "{\"n\":2}\n{\"n\":3}\n{\"n\":4}\n")
	put("logs/2024/a.json.gz", gz("[{\"n\":0},\n{\"n\":1}]\n"))
	put("logs/2025/c.csv", "n,s\n5,x\n6,\"y,z\"\n7,w\n")
	put("logs/2025/.hidden/d.jsonl", "1\n")
	put("logs/2025/_SUCCESS", "")
	put("logs/2025/", "") // a folder, for some programs
	put("logs/p.parquet", parquetOf(t, numbered(5), 2))
	put("odd/a,b *?[1] é%", "10\n")
	put("odd/z.jsonl.zst", zst(t, "20\n", "21\n"))
	put("odd", "30\n") // an object with the name of a folder
	for spec, want := range map[string][]string{
		"s3://data/logs/2024/b.jsonl":                     {`{"n":2}`, `{"n":3}`, `{"n":4}`},
		"s3://data/logs/2024/":                            {`{"n":0}`, `{"n":1}`, `{"n":2}`, `{"n":3}`, `{"n":4}`},
		"s3://data/logs/2024":                             {`{"n":0}`, `{"n":1}`, `{"n":2}`, `{"n":3}`, `{"n":4}`},
		"s3://data/logs/**/*.csv":                         {`{"n":"5","s":"x"}`, `{"n":"6","s":"y,z"}`, `{"n":"7","s":"w"}`},
		"s3://data/logs/2025/*.csv?types=n:int":           {`{"n":5,"s":"x"}`, `{"n":6,"s":"y,z"}`, `{"n":7,"s":"w"}`},
		"s3://data/logs/*.parquet":                        {`{"n":0}`, `{"n":1}`, `{"n":2}`, `{"n":3}`, `{"n":4}`},
		"s3://data/logs/202[45]/[ac].*":                   {`{"n":0}`, `{"n":1}`, `{"n":"5","s":"x"}`, `{"n":"6","s":"y,z"}`, `{"n":"7","s":"w"}`},
		"s3://data/odd/a%2Cb%20%2A%3F%5B1%5D%20%C3%A9%25": {"10"},
		"s3://data/odd/":                                  {"10", "20", "21"},
		"s3://data/odd":                                   {"30"},
		"s3://data/logs/2024/b.jsonl,s3://data/odd/z*":    {`{"n":2}`, `{"n":3}`, `{"n":4}`, "20", "21"},
		"s3://data/logs/2025/.hidden/*":                   {"1"},
		"s3://data/odd/z.jsonl.zst?format=values":         {"20", "21"},
	} {
		spec = of(spec)
		identity, got, err := drainObjects(t, spec)
		if !slices.Equal(got, want) || err != nil {
			t.Errorf("%s: got %q, %v, want %q", spec, got, err, want)
			continue
		}
		again, got, err := drainObjects(t, identity)
		if again != identity || !slices.Equal(got, want) || err != nil {
			t.Errorf("the plan's %s: %s, got %q, %v, want %q", identity, again, got, err, want)
		}
	}
	_, got, err := drainObjects(t, of("s3://data"))
	if len(got) != 3+2+3+5+1+2+1 || err != nil {
		t.Errorf("the bucket has %q, %v", got, err)
	}
	for spec, want := range map[string]string{
		"s3://data/nosuch":                   "no object matches; use s3://BUCKET/KEY",
		"s3://data/log":                      "no object matches",
		"s3://data/**/*.xml":                 "no object matches",
		"s3://":                              "the bucket is missing",
		"s3://nosuch/a":                      map[string]string{"s3://": "for a server other than Amazon's set AWS_ENDPOINT_URL", "gs://": "is there a bucket nosuch?", "azblob://": "is there a container nosuch"}[scheme],
		"s3://us%er@data/a":                  "the bucket is missing or wrong",
		"s3://data/a%zz":                     `write "%" itself as %25`,
		"s3://data/odd/z*,s3://data/odd/":    "is named twice",
		"s3://data/logs/2024/b.jsonl?etag=x": "source changed: it has the ETag",
	} {
		spec, want = of(spec), of(want)
		_, _, err := drainObjects(t, spec)
		if !errors.Is(err, ErrSettings) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", spec, err, want)
		}
	}
	t.Run("changed", func(t *testing.T) { checkChangedObject(t, of("s3://data/changing/*"), put) })
}

// Replacing an object gives the next run another plan, and the current run an error.
func checkChangedObject(t *testing.T, spec string, put func(key, content string)) {
	put("changing/a.jsonl", "1\n2\n3\n")
	s, err := Open(Options{Size: 1, Bytes: 10}, spec)
	if err != nil {
		t.Fatal(err)
	}
	c, mark, err := s.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	put("changing/a.jsonl", "1\n2\n4\n")
	if _, err := s.Reread(t.Context(), mark); !errors.Is(err, ErrChanged) {
		t.Errorf("chunk %q again: %v, want ErrChanged", c.Body, err)
	}
	other, _, err := drainObjects(t, spec)
	if other == s.Identity() || err != nil {
		t.Errorf("the plan is still %s: %v", other, err)
	}
	if _, _, err := drainObjects(t, s.Identity()); !errors.Is(err, ErrChanged) {
		t.Errorf("the old plan: %v, want ErrChanged", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// A refusal names the bucket, the key and the settings to check, but no secret.
func TestS3_refused(t *testing.T) {
	buckettest.ServeS3(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, "<Error><Code>AccessDenied</Code><Message>Access Denied.</Message></Error>")
	}))
	_, _, err := drainObjects(t, "s3://data/key.jsonl")
	if !errors.Is(err, ErrSettings) || !strings.Contains(err.Error(), "s3://data/key.jsonl") || !strings.Contains(err.Error(), "AWS_ACCESS_KEY_ID") || strings.Contains(err.Error(), "canary") {
		t.Errorf("got %v", err)
	}
	for _, endpoint := range []string{"localhost:9000", "http://u:canary@h", "http://h/path", "ftp://h", "http://"} {
		t.Setenv("AWS_ENDPOINT_URL", endpoint)
		if _, _, err := drainObjects(t, "s3://data/a"); !errors.Is(err, ErrSettings) || !strings.Contains(err.Error(), "AWS_ENDPOINT_URL is not") || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", endpoint, err)
		}
	}
}

// A brittleBucket has one object, and breaks off after this many bytes each time.
type brittleBucket struct {
	bucket.Bucket

	content string
	most    int // bytes of a request
	reads   int
	fail    func() error // an error instead of an answer; nil: none
	noList  error        // of List
}

func (b *brittleBucket) List(_ context.Context, _ string, found func(key, version string, size int64)) error {
	if b.noList == nil {
		found("a", "v", int64(len(b.content)))
	}
	return b.noList
}

func (b *brittleBucket) Read(_ context.Context, _, _ string, offset, length int64) (io.ReadCloser, error) {
	if b.reads++; b.fail != nil {
		if err := b.fail(); err != nil {
			return nil, err
		}
	}
	rest := b.content[offset:]
	if length >= 0 {
		rest = rest[:length]
	}
	return io.NopCloser(io.LimitReader(strings.NewReader(rest), int64(b.most))), nil
}

func (b *brittleBucket) Close() error { return nil }

// Storage that does not answer is ErrAway; wrong settings and missing files are not.
func TestObjects_away(t *testing.T) {
	t.Parallel()
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	for _, c := range []struct {
		spec string
		in   *brittleBucket
		want bool
	}{
		{"s3://x/a", &brittleBucket{noList: refused}, true},
		{"s3://x/a", &brittleBucket{content: "1\n", most: 10, fail: func() error { return refused }}, true},
		{"s3://x/a", &brittleBucket{noList: errors.New("no such bucket")}, false},
		{filepath.Join(t.TempDir(), "missing.jsonl"), nil, false},
	} {
		_, err := Open(Options{Size: 10, Bytes: 1000, openBucket: func(string, string) (bucket.Bucket, error) { return c.in, nil }}, c.spec)
		if errors.Is(err, ErrAway) != c.want || err == nil {
			t.Errorf("%s: %v; away is %t, want %t", c.spec, err, errors.Is(err, ErrAway), c.want)
		}
	}
}

// Reading resumes where it breaks off, and fails if no more bytes arrive.
func TestObject_breaksOff(t *testing.T) {
	t.Parallel()
	for most, want := range map[int]string{7: "", 1: "", 0: "the object breaks off, 6 times at the same byte: unexpected EOF"} {
		synctest.Test(t, func(t *testing.T) {
			b := &brittleBucket{content: numbers(0, 30, "{\"n\":%d}\n"), most: 1000}
			s, err := Open(Options{Size: 10, Bytes: 1000, openBucket: func(string, string) (bucket.Bucket, error) { return b, nil }}, "s3://x/a")
			if err != nil {
				t.Fatal(err)
			}
			b.most, b.reads = most, 0
			cuts, err := drain(s)
			if want == "" && (err != nil || len(objects(cuts)) != 30 || b.reads != (len(b.content)+most-1)/most) {
				t.Errorf("%d bytes a request: %d objects, %d requests, %v", most, len(objects(cuts)), b.reads, err)
			}
			if want != "" && (err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "s3://x/a")) {
				t.Errorf("%d bytes a request: %v, want %q", most, err, want)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// A failed request for a Parquet file is told as such. It is no sign of damage, nor that the file has changed.
func TestObject_parquetFails(t *testing.T) {
	t.Parallel()
	b := &brittleBucket{content: parquetOf(t, numbered(50), 20), most: 1 << 20}
	s, err := Open(Options{Size: 10, Bytes: 1000, openBucket: func(string, string) (bucket.Bucket, error) { return b, nil }}, "s3://x/a")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	cuts, err := drain(s)
	if err != nil || len(cuts) != 5 {
		t.Fatalf("%d chunks, %v", len(cuts), err)
	}
	for good := range 20 { // requests before the failure
		b.reads = 0
		b.fail = func() error {
			if b.reads > good {
				return errors.New("503 Service Unavailable")
			}
			return nil
		}
		_, err := s.Reread(t.Context(), cuts[4].Mark)
		if err == nil {
			if good < 2 {
				t.Errorf("%d requests are enough", good)
			}
			break
		}
		if errors.Is(err, ErrChanged) || errors.Is(err, errParquet) || !strings.Contains(err.Error(), "503 Service Unavailable") {
			t.Errorf("request %d fails: %v", good+1, err)
		}
	}
	b.fail = func() error { return bucket.ErrGone }
	if _, err := s.Reread(t.Context(), cuts[4].Mark); !errors.Is(err, ErrChanged) || strings.Contains(err.Error(), "damaged") {
		t.Errorf("the object is gone: %v, want ErrChanged", err)
	}
}

func TestMatchKey(t *testing.T) {
	t.Parallel()
	for pattern, keys := range map[string]string{
		"*.jsonl":           "a.jsonl !b/a.jsonl !.a.jsonl",
		"**":                "a a/b a/b/c !.a !a/.b !.a/b",
		"**/*.jsonl":        "a.jsonl x/a.jsonl x/y/a.jsonl !x/a.json !.x/a.jsonl",
		"a/**/b":            "a/b a/x/b a/x/y/b !a !b !x/a/b !a/b/c",
		"a/**":              "a/b a/b/c !a !ab",
		".a/*":              ".a/b !a/b !.a/.b",
		`\*/[a-c]?`:         "*/ax */cé !x/ax !*/dx !*/a",
		"year=*/month=0?/*": "year=2024/month=01/x !year=2024/month=10/x",
	} {
		for key := range strings.FieldsSeq(keys) {
			name, not := strings.CutPrefix(key, "!")
			if got := matchKey(pattern, name); got == not {
				t.Errorf("%s matches %s: %v", pattern, name, got)
			}
			if !not && !strings.HasPrefix(name, literalPrefix(pattern)) {
				t.Errorf("%s: the prefix is %q", pattern, literalPrefix(pattern))
			}
		}
	}
}

// file:///folder/ is all files below a folder.
func TestOpen_folderURL(t *testing.T) {
	t.Parallel()
	dir := write(t, "x [1]/b.jsonl", "2\n", "x [1]/a/c.jsonl", "1\n", "x [1]/.d", "3\n")
	url := "file://" + dir + "/x%20%5B1%5D/"
	if _, got, err := drainObjects(t, url); !slices.Equal(got, []string{"1", "2"}) || err != nil {
		t.Errorf("%s: got %q, %v", url, got, err)
	}
	if _, _, err := drainObjects(t, fmt.Sprintf("file://%s/x%%20%%5B1%%5D", dir)); !errors.Is(err, ErrSettings) {
		t.Errorf("without a slash at the end: %v", err)
	}
}
