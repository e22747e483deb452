package bucket

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// The errors that callers distinguish.
var (
	// ErrGone: there is no object with this key, or it has another version.
	ErrGone = errors.New("the object is gone or has another version")
	// ErrTaken: the condition of a write does not hold: the object exists, or has another version, or is being written
	// by another request.
	ErrTaken = errors.New("the object exists or has another version")
	// ErrFull: the bucket has no space for the object.
	ErrFull = errors.New("the bucket has no space left")
)

// A Bucket is an open bucket. Its methods may be called from several goroutines.
type Bucket interface {
	// List calls found for all objects whose keys begin with prefix, by ascending key. The version changes when the
	// object does: it is an ETag, or the provider's equivalent.
	List(ctx context.Context, prefix string, found func(key, version string, size int64)) error
	// Read returns length bytes of an object from offset on, or fewer at its end; a negative length means all bytes
	// from there. The error is ErrGone if the object has another version; an empty version means any.
	Read(ctx context.Context, key, version string, offset, length int64) (io.ReadCloser, error)
	// Write writes an object in one step if its version is replaces; if replaces is empty, the object must not exist.
	// The error is ErrTaken if it does, or has another version.
	Write(ctx context.Context, key, mediaType string, content []byte, replaces string) error
	// Delete deletes an object, if it exists.
	Delete(ctx context.Context, key string) error
	// Close closes idle connections.
	Close() error
}

// kinds are the interfaces of object storage, by the scheme of their URLs.
var kinds = []struct {
	scheme string
	open   func(name string) (Bucket, error)
}{
	{"s3://", openS3},
	{"gs://", openGoogle},
	{"azblob://", openAzure},
}

// CutScheme splits the URL of a bucket or of an object in it after the scheme, such as s3://, which it returns in lower
// case. It returns false for other texts.
func CutScheme(url string) (scheme, rest string, ok bool) {
	for _, kind := range kinds {
		if n := len(kind.scheme); len(url) >= n && strings.EqualFold(url[:n], kind.scheme) {
			return kind.scheme, url[n:], true
		}
	}
	return "", url, false
}

// Open opens the bucket with this name of the kind that a scheme of CutScheme names. It makes no request to the bucket:
// the first one shows whether it exists.
func Open(scheme, name string) (Bucket, error) {
	for _, kind := range kinds {
		if kind.scheme == scheme {
			return kind.open(name)
		}
	}
	return nil, fmt.Errorf("there is no object storage %s", scheme)
}

// firstOf returns the first of these variables that is set.
func firstOf(names ...string) string {
	for _, name := range names {
		if value := os.Getenv(name); value != "" {
			return value
		}
	}
	return ""
}
