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
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/chunkline/chunkline/internal/dial"
)

const (
	amazon = "https://s3.amazonaws.com" // minio-go finds the region's endpoint

	// metadataTimeout bounds the search for credentials where the address of a cloud machine's metadata does not
	// answer.
	metadataTimeout = 5 * time.Second
)

// An s3Bucket is a bucket of S3, or of a server with its interface.
type s3Bucket struct {
	core      minio.Core
	name      string
	transport *http.Transport
}

func openS3(name string) (Bucket, error) {
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
	transport.DialContext = dial.New(dialTimeout).DialContext
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
	return &s3Bucket{minio.Core{Client: client}, name, transport}, nil
}

func (b *s3Bucket) List(ctx context.Context, prefix string, found func(key, version string, size int64)) error {
	for o := range b.core.ListObjectsIter(ctx, b.name, minio.ListObjectsOptions{Prefix: prefix, Recursive: true}) {
		if o.Err != nil {
			return explainS3(o.Err)
		}
		found(o.Key, strings.Trim(o.ETag, `"`), o.Size)
	}
	return nil
}

func (b *s3Bucket) Read(ctx context.Context, key, version string, offset, length int64) (io.ReadCloser, error) {
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
	body, info, header, err := b.core.GetObject(ctx, b.name, key, options)
	if err == nil {
		return checked(&http.Response{Body: body, Header: header}, offset, strings.Trim(info.ETag, `"`), version)
	}
	switch answer := minio.ToErrorResponse(err); {
	case answer.StatusCode == http.StatusPreconditionFailed, answer.Code == minio.NoSuchKey:
		return nil, ErrGone
	case answer.StatusCode == http.StatusRequestedRangeNotSatisfiable: // the object ends before offset
		return io.NopCloser(strings.NewReader("")), nil
	}
	return nil, explainS3(err)
}

func (b *s3Bucket) Write(ctx context.Context, key, mediaType string, content []byte, replaces string) error {
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
	return explainS3(err)
}

func (b *s3Bucket) Delete(ctx context.Context, key string) error {
	return explainS3(b.core.RemoveObject(ctx, b.name, key, minio.RemoveObjectOptions{}))
}

// explainS3 adds a hint to an error answer. Answers name the key that was used, but not its secret.
func explainS3(err error) error {
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

func (b *s3Bucket) Close() error {
	b.transport.CloseIdleConnections()
	return nil
}
