package bucket

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open opens the bucket "data" of a server.
func open(t *testing.T, handler http.Handler) *Bucket {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	t.Setenv("AWS_ENDPOINT_URL", server.URL)
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "canary-secret")
	t.Setenv("AWS_REGION", "eu-central-1")
	b, err := Open("data")
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

// openFake opens a bucket of gofakes3, which honours the conditions of writes and not those of reads.
func openFake(t *testing.T) *Bucket {
	t.Helper()
	backend := s3mem.New()
	if err := backend.CreateBucket("data"); err != nil {
		t.Fatal(err)
	}
	return open(t, gofakes3.New(backend).Server())
}

func read(t *testing.T, b *Bucket, key, version string, offset, length int64) (string, error) {
	t.Helper()
	body, err := b.Read(t.Context(), key, version, offset, length)
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(body)
	return string(text), errors.Join(err, body.Close())
}

func listed(t *testing.T, b *Bucket, prefix string) (all []string, versions map[string]string) {
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

func TestWrite(t *testing.T) {
	b := openFake(t)
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
	large := strings.Repeat("0123456789abcde\n", 2<<20) // 32 MiB, in one request
	if err := write("large", large, ""); err != nil {
		t.Error(err)
	}
	if got, err := read(t, b, "large", "", int64(len(large))-16, 100); got != "0123456789abcde\n" || err != nil {
		t.Errorf("the end is %q, %v", got, err)
	}
	for range 2 {
		if err := b.Delete(t.Context(), "large"); err != nil {
			t.Errorf("delete: %v", err)
		}
	}
	if _, err := read(t, b, "large", "", 0, -1); !errors.Is(err, ErrGone) {
		t.Errorf("read what was deleted: %v, want ErrGone", err)
	}
}

func TestRead(t *testing.T) {
	b := openFake(t)
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

// Answers to writes mean what S3 and others say they mean, and no error has a secret.
func TestWrite_answers(t *testing.T) {
	status, code := 0, ""
	b := open(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("If-None-Match") != "*" || r.Header.Get("X-Amz-Content-Sha256") == "" {
			t.Errorf("the request has the headers %v", r.Header)
		}
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(status)
		fmt.Fprintf(w, "<Error><Code>%s</Code><Message>no</Message></Error>", code)
	}))
	for _, test := range []struct {
		status int
		code   string
		want   error
		says   string
	}{
		{http.StatusPreconditionFailed, "PreconditionFailed", ErrTaken, ""},
		{http.StatusConflict, "ConditionalRequestConflict", ErrTaken, ""},
		{http.StatusInsufficientStorage, "XMinioStorageFull", ErrFull, "no space"},
		{http.StatusForbidden, "AccessDenied", nil, "AWS_ACCESS_KEY_ID"},
		{http.StatusNotFound, "NoSuchBucket", nil, "AWS_ENDPOINT_URL"},
	} {
		status, code = test.status, test.code
		err := b.Write(t.Context(), "key", "text/plain", []byte("x"), "")
		if err == nil || test.want != nil && !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.says) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%d %s: %v, want %v with %q", test.status, test.code, err, test.want, test.says)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.Write(ctx, "key", "text/plain", bytes.Repeat([]byte("x"), 10), ""); err == nil {
		t.Error("a write whose context has ended succeeds")
	}
}
