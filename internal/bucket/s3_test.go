package bucket

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/chunkline/chunkline/internal/bucket/buckettest"
)

// open opens the bucket "data" of a server.
func open(t *testing.T, handler http.Handler) Bucket {
	t.Helper()
	buckettest.ServeS3(t, handler)
	return openData(t, "s3://")
}

// openFake opens the bucket of buckettest.StartS3.
func openFake(t *testing.T) Bucket {
	t.Helper()
	buckettest.StartS3(t, nil)
	return openData(t, "s3://")
}

// An object of 32 MiB is one request, because parts would have no condition.
func TestWrite_large(t *testing.T) {
	b := openFake(t)
	large := strings.Repeat("0123456789abcde\n", 2<<20)
	if err := b.Write(t.Context(), "large", "text/plain", []byte(large), ""); err != nil {
		t.Error(err)
	}
	if got, err := read(t, b, "large", "", int64(len(large))-16, 100); got != "0123456789abcde\n" || err != nil {
		t.Errorf("the end is %q, %v", got, err)
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
