package bucket

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	"github.com/minio/minio-go/v7"
	"go.uber.org/goleak"

	"github.com/chunkline/chunkline/internal/bucket/buckettest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// openData opens the bucket "data" of the server that the environment names.
func openData(t *testing.T, scheme string) Bucket {
	t.Helper()
	b, err := Open(scheme, "data")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// eachKind checks an empty bucket of each kind.
func eachKind(t *testing.T, check func(t *testing.T, b Bucket)) {
	t.Run("s3", func(t *testing.T) { check(t, openFake(t)) })
	for _, kind := range buckettest.Kinds {
		t.Run(strings.TrimSuffix(kind.Scheme, "://"), func(t *testing.T) {
			kind.Start(t, nil)
			check(t, openData(t, kind.Scheme))
		})
	}
}

func read(t *testing.T, b Bucket, key, version string, offset, length int64) (string, error) {
	t.Helper()
	body, err := b.Read(t.Context(), key, version, offset, length)
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(body)
	return string(text), errors.Join(err, body.Close())
}

func listed(t *testing.T, b Bucket, prefix string) (all []string, versions map[string]string) {
	t.Helper()
	versions = map[string]string{}
	err := b.List(t.Context(), prefix, func(key, version string, size int64) {
		all = append(all, fmt.Sprintf("%s %d", key, size))
		versions[key] = version
	})
	if err != nil {
		t.Fatal(err)
	}
	return all, versions
}

func TestWrite(t *testing.T) { eachKind(t, checkWrite) }

func checkWrite(t *testing.T, b Bucket) {
	write := func(key, content, replaces string) error {
		return b.Write(t.Context(), key, "text/plain", []byte(content), replaces)
	}
	if err := write("a/b c", "one", ""); err != nil {
		t.Fatal(err)
	}
	if err := write("a/b c", "two", ""); !errors.Is(err, ErrTaken) {
		t.Errorf("create what exists: %v, want ErrTaken", err)
	}
	if err := write("none", "two", "0123456789abcdef0123456789abcdef"); !errors.Is(err, ErrTaken) {
		t.Errorf("replace what does not exist: %v, want ErrTaken", err)
	}
	all, versions := listed(t, b, "a/")
	if fmt.Sprint(all) != "[a/b c 3]" {
		t.Errorf("listed %q", all)
	}
	if err := write("a/b c", "three", versions["a/b c"]); err != nil {
		t.Errorf("replace: %v", err)
	}
	if err := write("a/b c", "four", versions["a/b c"]); !errors.Is(err, ErrTaken) {
		t.Errorf("replace another version: %v, want ErrTaken", err)
	}
	if got, err := read(t, b, "a/b c", "", 0, -1); got != "three" || err != nil {
		t.Errorf("read %q, %v", got, err)
	}
	for range 2 {
		if err := b.Delete(t.Context(), "a/b c"); err != nil {
			t.Errorf("delete: %v", err)
		}
	}
	if _, err := read(t, b, "a/b c", "", 0, -1); !errors.Is(err, ErrGone) {
		t.Errorf("read what was deleted: %v, want ErrGone", err)
	}
}

func TestRead(t *testing.T) { eachKind(t, checkRead) }

func checkRead(t *testing.T, b Bucket) {
	for key, content := range map[string]string{"ten": "0123456789", "other": "9876543210"} {
		if err := b.Write(t.Context(), key, "text/plain", []byte(content), ""); err != nil {
			t.Fatal(err)
		}
	}
	_, versions := listed(t, b, "")
	for _, test := range []struct {
		key, version   string
		offset, length int64
		want           string
		err            error
	}{
		{"ten", "", 0, -1, "0123456789", nil},
		{"ten", "", 3, -1, "3456789", nil},
		{"ten", "", 3, 2, "34", nil},
		{"ten", "", 8, 100, "89", nil},
		{"ten", "", 10, 5, "", nil},
		{"ten", "", 11, 5, "", nil},
		{"ten", versions["ten"], 9, 1, "9", nil},
		{"ten", versions["other"], 0, -1, "", ErrGone},
		{"none", "", 0, 10, "", ErrGone},
	} {
		if got, err := read(t, b, test.key, test.version, test.offset, test.length); got != test.want || !errors.Is(err, test.err) {
			t.Errorf("%s version %q, %d bytes from %d: %q, %v; want %q, %v", test.key, test.version, test.length, test.offset, got, err, test.want, test.err)
		}
	}
}

// A server or a proxy may ignore the header Range. Then a read from the middle on is an error, and not the wrong bytes.
func TestRead_rangeIgnored(t *testing.T) {
	wrap := func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.Header.Del("Range")
			h.ServeHTTP(w, r)
		})
	}
	check := func(t *testing.T, b Bucket) {
		if err := b.Write(t.Context(), "ten", "text/plain", []byte("0123456789"), ""); err != nil {
			t.Fatal(err)
		}
		for _, length := range []int64{-1, 2} {
			if got, err := read(t, b, "ten", "", 3, length); err == nil || !strings.Contains(err.Error(), "Range") {
				t.Errorf("read %q, %v", got, err)
			}
		}
		if got, err := read(t, b, "ten", "", 0, 100); got != "0123456789" || err != nil {
			t.Errorf("read %q, %v", got, err)
		}
	}
	t.Run("s3", func(t *testing.T) {
		backend := s3mem.New()
		if err := backend.CreateBucket("data"); err != nil {
			t.Fatal(err)
		}
		check(t, open(t, wrap(gofakes3.New(backend).Server())))
	})
	for _, kind := range buckettest.Kinds {
		t.Run(strings.TrimSuffix(kind.Scheme, "://"), func(t *testing.T) {
			kind.Start(t, wrap)
			check(t, openData(t, kind.Scheme))
		})
	}
}

// A list has all objects with the prefix, however many pages it takes, and no other.
func TestList(t *testing.T) { eachKind(t, checkList) }

func checkList(t *testing.T, b Bucket) {
	want := []string{"a b/#1?x=%41&y+é", "a b/2", "a b/3", "a b/4", "a b/5", "a b/6", "a b/7"}
	for _, key := range append([]string{"a", "b"}, want...) {
		if err := b.Write(t.Context(), key, "text/plain", []byte("x"), ""); err != nil {
			t.Fatalf("write %s: %v", key, err)
		}
		if got, err := read(t, b, key, "", 0, -1); got != "x" || err != nil {
			t.Errorf("read %s: %q, %v", key, got, err)
		}
	}
	var got []string
	all, _ := listed(t, b, "a b/")
	for _, one := range all {
		got = append(got, strings.TrimSuffix(one, " 1"))
	}
	if !slices.Equal(got, want) {
		t.Errorf("listed %q, want %q", got, want)
	}
	if all, _ := listed(t, b, "none"); len(all) != 0 {
		t.Errorf("listed %q below an empty prefix", all)
	}
}

// TestAway: a store that is not reached, or that is overloaded, may answer another try; wrong settings stay wrong.
func TestAway(t *testing.T) {
	t.Parallel()
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	for _, c := range []struct {
		err  error
		want bool
	}{
		{nil, false},
		{errors.New("no such option"), false},
		{fmt.Errorf("list objects: %w", &url.Error{Op: "Get", URL: "http://h/", Err: refused}), true},
		{fmt.Errorf("GET h: %w", refused), true},
		{&url.Error{Op: "Get", URL: "https://h/", Err: &tls.CertificateVerificationError{Err: errors.New("unknown authority")}}, false},
		{minio.ErrorResponse{StatusCode: http.StatusServiceUnavailable, Code: "SlowDown"}, true},
		{fmt.Errorf("%w; set AWS_ACCESS_KEY_ID", minio.ErrorResponse{StatusCode: http.StatusForbidden, Code: "AccessDenied"}), false},
		{&answerError{status: http.StatusBadGateway}, true},
		{&answerError{status: http.StatusNotFound}, false},
		{ErrGone, false},
	} {
		if got := Away(c.err); got != c.want {
			t.Errorf("%v: away is %t, want %t", c.err, got, c.want)
		}
	}
}
