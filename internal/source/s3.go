package source

import (
	"context"
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

const (
	amazon = "https://s3.amazonaws.com" // minio-go finds the region's endpoint

	// metadataTimeout bounds the search for credentials where the address of a cloud machine's metadata does not answer.
	metadataTimeout = 5 * time.Second
)

// openS3 opens a bucket with the settings that AWS's programs and SDKs use: keys, profile, role of the machine or pod,
// region and endpoint. Without credentials it makes anonymous requests.
func openS3(bucketName string) (store, error) {
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
	return &s3Bucket{minio.Core{Client: client}, bucketName, transport}, nil
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

// s3Bucket is a bucket of S3 or of a server with its API.
type s3Bucket struct {
	minio.Core

	name      string
	transport *http.Transport
}

func (b *s3Bucket) list(ctx context.Context, prefix string, found func(key, version string, size int64)) error {
	for o := range b.ListObjectsIter(ctx, b.name, minio.ListObjectsOptions{Prefix: prefix, Recursive: true}) {
		if o.Err != nil {
			return explainS3(o.Err)
		}
		found(o.Key, strings.Trim(o.ETag, `"`), o.Size)
	}
	return nil
}

func (b *s3Bucket) read(ctx context.Context, o *object, offset, length int64) (io.ReadCloser, error) {
	var options minio.GetObjectOptions
	err := options.SetMatchETag(o.version)
	if err == nil && length >= 0 {
		err = options.SetRange(offset, offset+length-1)
	} else if err == nil && offset > 0 {
		err = options.SetRange(offset, 0) // to the end
	}
	if err != nil {
		return nil, err
	}
	body, info, _, err := b.GetObject(ctx, b.name, o.key, options)
	if err == nil && strings.Trim(info.ETag, `"`) != o.version { // some servers ignore If-Match
		_ = body.Close() // it was only read
		return nil, errObjectChanged
	}
	return body, explainS3(err)
}

// explainS3 adds a hint to an error answer. Answers name the key that was used, but not its secret.
func explainS3(err error) error {
	answer := minio.ToErrorResponse(err)
	switch {
	case err == nil:
		return nil
	case answer.StatusCode == http.StatusPreconditionFailed, answer.Code == minio.NoSuchKey:
		return errObjectChanged
	case answer.StatusCode == http.StatusForbidden, answer.StatusCode == http.StatusUnauthorized:
		return fmt.Errorf("%w; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, of an account that may read and list the bucket", err)
	case answer.Code == minio.NoSuchBucket:
		return fmt.Errorf("%w; for a server other than Amazon's set AWS_ENDPOINT_URL", err)
	}
	return err
}

func (b *s3Bucket) close() error {
	b.transport.CloseIdleConnections()
	return nil
}
