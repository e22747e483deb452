package bucket

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// The errors that callers distinguish.
var (
	// ErrGone: there is no object with this key, or it has another version.
	ErrGone = errors.New("the object is gone or another one")
	// ErrTaken: the condition of a write does not hold: the object exists, or has another version, or is being written by
	// another request.
	ErrTaken = errors.New("the object exists or is another one")
	// ErrFull: the bucket has no space for the object.
	ErrFull = errors.New("the bucket has no space left")
)

const (
	amazon = "https://s3.amazonaws.com" // minio-go finds the region's endpoint

	// metadataTimeout bounds the search for credentials where the address of a cloud machine's metadata does not answer.
	metadataTimeout = 5 * time.Second
)

// A Bucket is an open bucket. Its methods may be called from several goroutines.
type Bucket struct {
	core      minio.Core
	name      string
	transport *http.Transport
}

// Open opens a bucket. It makes no request: the first one shows whether the bucket exists.
func Open(name string) (*Bucket, error) {
	endpoint := firstOf("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
	lookup := minio.BucketLookupPath // other servers seldom have a host name for each bucket
	if endpoint == "" {
		endpoint, lookup = amazon, minio.BucketLookupAuto
	}
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("AWS_ENDPOINT_URL is not https://HOST or http://HOST:PORT")
	}
	transport, err := minio.DefaultTransport(u.Scheme == "https")
	if err != nil {
		return nil, err
	}
	client, err := minio.New(u.Host, &minio.Options{
		Secure: u.Scheme == "https", Region: firstOf("AWS_REGION", "AWS_DEFAULT_REGION"), BucketLookup: lookup, Transport: transport,
		Creds: credentials.NewChainCredentials([]credentials.Provider{
			&credentials.EnvAWS{}, &credentials.FileAWSCredentials{},
			&credentials.IAM{Client: &http.Client{Timeout: metadataTimeout, Transport: transport}},
		}),
	})
	if err != nil {
		return nil, err
	}
	return &Bucket{minio.Core{Client: client}, name, transport}, nil
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

// List calls found for all objects whose keys begin with prefix, by ascending key.
func (b *Bucket) List(ctx context.Context, prefix string, found func(key, version string, size int64)) error {
	for o := range b.core.ListObjectsIter(ctx, b.name, minio.ListObjectsOptions{Prefix: prefix, Recursive: true}) {
		if o.Err != nil {
			return explain(o.Err)
		}
		found(o.Key, strings.Trim(o.ETag, `"`), o.Size)
	}
	return nil
}

// Read returns length bytes of an object from offset on, or fewer at its end; a negative length means all bytes from there.
// The error is ErrGone if the object has another version; an empty version means any.
func (b *Bucket) Read(ctx context.Context, key, version string, offset, length int64) (io.ReadCloser, error) {
	var options minio.GetObjectOptions
	var err error
	if version != "" {
		err = options.SetMatchETag(version)
	}
	if err == nil && length >= 0 {
		err = options.SetRange(offset, offset+length-1)
	} else if err == nil && offset > 0 {
		err = options.SetRange(offset, 0) // to the end
	}
	if err != nil {
		return nil, err
	}
	body, info, _, err := b.core.GetObject(ctx, b.name, key, options)
	if err == nil && version != "" && strings.Trim(info.ETag, `"`) != version { // some servers ignore If-Match
		_ = body.Close() // it was only read
		return nil, ErrGone
	}
	switch answer := minio.ToErrorResponse(err); {
	case answer.StatusCode == http.StatusPreconditionFailed, answer.Code == minio.NoSuchKey:
		return nil, ErrGone
	case answer.StatusCode == http.StatusRequestedRangeNotSatisfiable: // the object ends before offset
		return io.NopCloser(strings.NewReader("")), nil
	}
	return body, explain(err)
}

// Write writes an object in one step if its version is replaces; if replaces is empty, the object must not exist. The error
// is ErrTaken if it does, or has another version.
func (b *Bucket) Write(ctx context.Context, key, mediaType string, content []byte, replaces string) error {
	options := minio.PutObjectOptions{ContentType: mediaType}
	if replaces == "" {
		options.SetMatchETagExcept("*")
	} else {
		options.SetMatchETag(replaces)
	}
	sum := sha256.Sum256(content) // the server compares it
	_, err := b.core.PutObject(ctx, b.name, key, bytes.NewReader(content), int64(len(content)), "", hex.EncodeToString(sum[:]), options)
	switch minio.ToErrorResponse(err).StatusCode {
	case http.StatusPreconditionFailed, http.StatusConflict:
		return ErrTaken
	case http.StatusInsufficientStorage:
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	return explain(err)
}

// Delete deletes an object, if it exists.
func (b *Bucket) Delete(ctx context.Context, key string) error {
	return explain(b.core.RemoveObject(ctx, b.name, key, minio.RemoveObjectOptions{}))
}

// explain adds a hint to an error answer. Answers name the key that was used, but not its secret.
func explain(err error) error {
	answer := minio.ToErrorResponse(err)
	switch {
	case err == nil:
		return nil
	case answer.StatusCode == http.StatusForbidden, answer.StatusCode == http.StatusUnauthorized:
		return fmt.Errorf("%w; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, of an account that may do this in the bucket", err)
	case answer.Code == minio.NoSuchBucket:
		return fmt.Errorf("%w; for a server other than Amazon's set AWS_ENDPOINT_URL", err)
	}
	return err
}

// Close closes idle connections.
func (b *Bucket) Close() error {
	b.transport.CloseIdleConnections()
	return nil
}
