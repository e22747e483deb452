package bucket

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"
)

const (
	googleEndpoint = "https://storage.googleapis.com"
	googleScope    = "https://www.googleapis.com/auth/devstorage.read_write"
)

// A googleBucket is a bucket of Google Cloud Storage, through its JSON API. The version of an object is its generation,
// to which Google's conditions refer.
type googleBucket struct {
	*client

	endpoint *url.URL
	name     string
}

// openGoogle finds the credentials as Google's programs and SDKs do, when the first request needs them. Like those, it
// sends none to the server that STORAGE_EMULATOR_HOST names.
func openGoogle(name string) (Bucket, error) {
	endpoint, c := googleEndpoint, newClient(explainGoogle)
	if emulator := os.Getenv("STORAGE_EMULATOR_HOST"); emulator != "" {
		if endpoint = emulator; !strings.Contains(emulator, "://") {
			endpoint = "http://" + emulator
		}
	} else {
		c.authorize = googleCredentials(c.transport)
	}
	u, err := url.Parse(strings.TrimSuffix(endpoint, "/"))
	if err != nil || u.Host == "" || u.User != nil || u.Path != "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("STORAGE_EMULATOR_HOST is not HOST:PORT or http://HOST:PORT")
	}
	return &googleBucket{c, u, name}, nil
}

// googleCredentials returns a function that adds an access token to a request, or nothing if there are no credentials
// at all.
func googleCredentials(transport *http.Transport) func(*http.Request) error {
	find := sync.OnceValues(func() (oauth2.TokenSource, error) {
		found, err := google.FindDefaultCredentials(tokenContext(transport), googleScope)
		switch {
		case err == nil:
			return found.TokenSource, nil
		case os.Getenv("GOOGLE_APPLICATION_CREDENTIALS") != "":
			return nil, errors.New("GOOGLE_APPLICATION_CREDENTIALS does not name a file with credentials that can be read")
		}
		return nil, nil // anonymous
	})
	return func(r *http.Request) error {
		tokens, err := find()
		if err != nil || tokens == nil {
			return err
		}
		token, err := tokens.Token()
		if err != nil {
			return err
		}
		token.SetAuthHeader(r)
		return nil
	}
}

// explainGoogle finds the message in an error answer, which is JSON unless a read of content was refused.
func explainGoogle(a *answerError) {
	var answer struct {
		Error struct{ Message string }
	}
	if json.Unmarshal([]byte(a.message), &answer) == nil && answer.Error.Message != "" {
		a.message = answer.Error.Message
	}
}

// at returns the URL of a resource below the endpoint.
func (b *googleBucket) at(path string, query url.Values) *url.URL {
	u := b.endpoint.JoinPath(path)
	u.RawQuery = query.Encode()
	return u
}

func (b *googleBucket) objects() string { return "/storage/v1/b/" + url.PathEscape(b.name) + "/o" }

// object returns the URL of an object. Its key is one part of the path, whatever characters it has.
func (b *googleBucket) object(key string, query url.Values) *url.URL {
	u := *b.endpoint
	u.Path, u.RawPath = "/storage/v1/b/"+b.name+"/o/"+key, b.objects()+"/"+url.PathEscape(key)
	u.RawQuery = query.Encode()
	return &u
}

func (b *googleBucket) List(ctx context.Context, prefix string, found func(key, version string, size int64)) error {
	query := url.Values{"prefix": {prefix}, "fields": {"items(name,generation,size),nextPageToken"}}
	for {
		var page struct {
			Items []struct {
				Name       string
				Generation string
				Size       int64 `json:",string"`
			}
			NextPageToken string
		}
		answer, err := b.do(ctx, call{method: http.MethodGet, url: b.at(b.objects(), query)})
		if err != nil {
			return b.hint(err)
		}
		err = json.NewDecoder(answer.Body).Decode(&page)
		if err = errors.Join(err, finish(answer)); err != nil {
			return fmt.Errorf("read the list: %w", err)
		}
		for _, o := range page.Items {
			found(o.Name, o.Generation, o.Size)
		}
		if page.NextPageToken == "" {
			return nil
		}
		query.Set("pageToken", page.NextPageToken)
	}
}

func (b *googleBucket) Read(ctx context.Context, key, version string, offset, length int64) (io.ReadCloser, error) {
	query := url.Values{"alt": {"media"}}
	if version != "" {
		query.Set("ifGenerationMatch", version)
	}
	header := http.Header{"Accept-Encoding": {"gzip"}} // without it Google decompresses objects with Content-Encoding: gzip
	if offset > 0 || length >= 0 {
		header.Set("Range", byteRange(offset, length))
	}
	answer, err := b.do(ctx, call{method: http.MethodGet, url: b.object(key, query), header: header})
	switch status := statusOf(err); {
	case err == nil:
		return checked(answer, offset, answer.Header.Get("X-Goog-Generation"), version)
	case status == http.StatusRequestedRangeNotSatisfiable: // the object ends before offset
		return nothing(), nil
	case status == http.StatusPreconditionFailed, status == http.StatusNotModified,
		status == http.StatusNotFound && !isMissingBucket(err):
		return nil, ErrGone
	}
	return nil, b.hint(err)
}

// Write sends the content with its CRC32C, which the server compares.
func (b *googleBucket) Write(ctx context.Context, key, mediaType string, content []byte, replaces string) error {
	if replaces == "" {
		replaces = "0" // the generation of an object that does not exist
	}
	if _, err := strconv.ParseUint(replaces, 10, 64); err != nil {
		return ErrTaken // no object has such a version
	}
	sum := binary.BigEndian.AppendUint32(nil, crc32.Checksum(content, crc32.MakeTable(crc32.Castagnoli)))
	about, err := json.Marshal(map[string]string{"name": key, "contentType": mediaType, "crc32c": base64.StdEncoding.EncodeToString(sum)})
	if err != nil {
		return fmt.Errorf("encode the name: %w", err)
	}
	boundary := rand.Text() // random, so that it is not in the content
	answer, err := b.do(ctx, call{
		method: http.MethodPost,
		url: b.at("/upload"+b.objects(), url.Values{
			"uploadType": {"multipart"}, "ifGenerationMatch": {replaces}, "fields": {"generation"},
		}),
		header: http.Header{"Content-Type": {"multipart/related; boundary=" + boundary}},
		body: [][]byte{
			fmt.Appendf(nil, "--%s\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n%s\r\n--%s\r\nContent-Type: %s\r\n\r\n", boundary, about, boundary, mediaType),
			content,
			fmt.Appendf(nil, "\r\n--%s--\r\n", boundary),
		},
	})
	switch statusOf(err) {
	case http.StatusPreconditionFailed, http.StatusConflict:
		return ErrTaken
	case http.StatusInsufficientStorage:
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	if err != nil {
		return b.hint(err)
	}
	return finish(answer)
}

func (b *googleBucket) Delete(ctx context.Context, key string) error {
	answer, err := b.do(ctx, call{method: http.MethodDelete, url: b.object(key, nil)})
	if statusOf(err) == http.StatusNotFound && !isMissingBucket(err) {
		return nil
	}
	if err != nil {
		return b.hint(err)
	}
	return finish(answer)
}

// isMissingBucket tells the two answers with status 404 apart, which differ in their message only.
func isMissingBucket(err error) bool { return strings.Contains(err.Error(), "bucket does not exist") }

// hint adds advice to an error.
func (b *googleBucket) hint(err error) error {
	switch statusOf(err) {
	case http.StatusForbidden, http.StatusUnauthorized:
		return fmt.Errorf("%w; set GOOGLE_APPLICATION_CREDENTIALS to the file with the key of an account that may do this in the bucket", err)
	case http.StatusNotFound:
		return fmt.Errorf("%w; is there a bucket %s?", err, b.name)
	}
	return err
}

func (b *googleBucket) Close() error {
	b.transport.CloseIdleConnections()
	return nil
}
