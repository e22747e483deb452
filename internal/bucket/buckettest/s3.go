package buckettest

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
)

// StartS3 starts a server that stands in for S3, with the bucket Bucket. It honours If-None-Match and If-Match of
// writes, as S3 does, and ignores conditions of reads. It checks no signatures, and never answers 409 to two writes at
// a time. wrap, unless it is nil, may add faults.
func StartS3(t testing.TB, wrap func(http.Handler) http.Handler) *s3mem.Backend {
	t.Helper()
	backend := s3mem.New()
	if err := backend.CreateBucket(Bucket); err != nil {
		t.Fatal(err)
	}
	handler := gofakes3.New(backend).Server()
	if wrap != nil {
		handler = wrap(handler)
	}
	ServeS3(t, handler)
	return backend
}

// ServeS3 starts a server that stands in for S3 in this test. The end of the test waits for it.
func ServeS3(t testing.TB, handler http.Handler) {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	t.Setenv("AWS_ENDPOINT_URL", server.URL)
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "canary-secret")
	t.Setenv("AWS_REGION", "eu-central-1")
}
