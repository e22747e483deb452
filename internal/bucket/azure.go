package bucket

import (
	"context"
	"crypto/md5" //nolint:gosec // the checksum that Azure compares
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// azureVersion is the version of the interface. Later ones answer differently.
const azureVersion = "2021-12-02"

// An azureBucket is a container of Azure Blob Storage. Its objects are block blobs of one request each.
type azureBucket struct {
	*client

	endpoint *url.URL // of the account
	name     string
}

func openAzure(name string) (Bucket, error) {
	account, err := azureAccountOf(firstOf)
	if err != nil {
		return nil, err
	}
	c := newClient(explainAzure)
	if c.authorize, err = account.authorizer(c.transport); err != nil {
		return nil, err
	}
	return &azureBucket{c, account.endpoint, name}, nil
}

// explainAzure finds code and message in an error answer.
func explainAzure(a *answerError) {
	var answer struct{ Code, Message string }
	if xml.Unmarshal([]byte(strings.TrimPrefix(a.message, "\ufeff")), &answer) == nil {
		// The lines after the first one are ID and time of the request, and may repeat its headers.
		a.code = answer.Code
		a.message, _, _ = strings.Cut(answer.Message, "\n")
	}
}

// at returns the URL of the container, or of an object in it.
func (b *azureBucket) at(key string, query url.Values) *url.URL {
	u := *b.endpoint
	u.Path = strings.TrimSuffix(u.Path, "/") + "/" + b.name
	u.RawPath = u.Path
	if key != "" {
		u.Path, u.RawPath = u.Path+"/"+key, u.RawPath+"/"+url.PathEscape(key)
	}
	u.RawQuery = azureQuery(query)
	return &u
}

// azureQuery encodes a query. Azure takes "+" literally, not as a space.
func azureQuery(query url.Values) string { return strings.ReplaceAll(query.Encode(), "+", "%20") }

func (b *azureBucket) List(ctx context.Context, prefix string, found func(key, version string, size int64)) error {
	query := url.Values{"restype": {"container"}, "comp": {"list"}, "prefix": {prefix}}
	for {
		var page struct {
			Blobs struct {
				Blob []struct {
					Name struct {
						Encoded bool   `xml:",attr"` // it has characters that XML does not allow
						Text    string `xml:",chardata"`
					}
					Properties struct {
						ETag         string `xml:"Etag"`
						Size         int64  `xml:"Content-Length"`
						ResourceType string // of accounts with folders
					}
				}
			}
			NextMarker string
		}
		answer, err := b.do(ctx, call{method: http.MethodGet, url: b.at("", query)})
		if err != nil {
			return b.hint(err)
		}
		err = xml.NewDecoder(answer.Body).Decode(&page)
		if err = errors.Join(err, finish(answer)); err != nil {
			return fmt.Errorf("read the list: %w", err)
		}
		for _, o := range page.Blobs.Blob {
			key := o.Name.Text
			if o.Name.Encoded {
				if key, err = url.PathUnescape(key); err != nil {
					return fmt.Errorf("read the list: %w", err)
				}
			}
			if o.Properties.ResourceType != "directory" {
				found(key, strings.Trim(o.Properties.ETag, `"`), o.Properties.Size)
			}
		}
		if page.NextMarker == "" {
			return nil
		}
		query.Set("marker", page.NextMarker)
	}
}

func (b *azureBucket) Read(ctx context.Context, key, version string, offset, length int64) (io.ReadCloser, error) {
	header := http.Header{}
	if version != "" {
		header.Set("If-Match", `"`+version+`"`)
	}
	if offset > 0 || length >= 0 {
		header.Set("Range", byteRange(offset, length))
	}
	answer, err := b.do(ctx, call{method: http.MethodGet, url: b.at(key, nil), header: header})
	switch status := statusOf(err); {
	case err == nil:
		return checked(answer, offset, strings.Trim(answer.Header.Get("ETag"), `"`), version)
	case status == http.StatusRequestedRangeNotSatisfiable: // the object ends before offset
		return nothing(), nil
	case status == http.StatusPreconditionFailed, isMissingBlob(err):
		return nil, ErrGone
	}
	return nil, b.hint(err)
}

// Write sends the content with its MD5, which the server compares.
func (b *azureBucket) Write(ctx context.Context, key, mediaType string, content []byte, replaces string) error {
	sum := md5.Sum(content) //nolint:gosec // see above
	header := http.Header{
		"Content-Type": {mediaType}, "Content-Md5": {base64.StdEncoding.EncodeToString(sum[:])}, "X-Ms-Blob-Type": {"BlockBlob"},
	}
	if replaces == "" {
		header.Set("If-None-Match", "*")
	} else {
		header.Set("If-Match", `"`+replaces+`"`)
	}
	answer, err := b.do(ctx, call{method: http.MethodPut, url: b.at(key, nil), header: header, body: [][]byte{content}})
	switch status := statusOf(err); {
	case status == http.StatusPreconditionFailed, status == http.StatusConflict, isMissingBlob(err):
		return ErrTaken
	case status == http.StatusInsufficientStorage:
		return fmt.Errorf("%w: %w", ErrFull, err)
	case err != nil:
		return b.hint(err)
	}
	return finish(answer)
}

func (b *azureBucket) Delete(ctx context.Context, key string) error {
	answer, err := b.do(ctx, call{method: http.MethodDelete, url: b.at(key, nil)})
	if isMissingBlob(err) {
		return nil
	}
	if err != nil {
		return b.hint(err)
	}
	return finish(answer)
}

// isMissingBlob reports whether a key has no object, in a container that exists.
func isMissingBlob(err error) bool {
	answer, is := errors.AsType[*answerError](err)
	return is && answer.status == http.StatusNotFound && answer.code == "BlobNotFound"
}

// hint adds advice to an error.
func (b *azureBucket) hint(err error) error {
	switch statusOf(err) {
	case http.StatusForbidden, http.StatusUnauthorized:
		return fmt.Errorf("%w; set AZURE_STORAGE_ACCOUNT, and AZURE_STORAGE_KEY or AZURE_STORAGE_SAS_TOKEN, of an account that may do this in the container", err)
	case http.StatusNotFound:
		return fmt.Errorf("%w; is there a container %s in the account of AZURE_STORAGE_ACCOUNT?", err, b.name)
	}
	return err
}

func (b *azureBucket) Close() error {
	b.transport.CloseIdleConnections()
	return nil
}
