package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"github.com/chunkline/chunkline/internal/bucket"
)

// An object is one version of a file in a bucket.
type object struct {
	*opened

	key     string
	version string // changes when the object does: an ETag, or the provider's equivalent
	size    int64  // bytes
}

// name returns the object's name in the syntax of a source.
func (o *object) name() string { return o.url + "/" + escape(o.key) }

// An opened bucket holds objects.
type opened struct {
	bucket.Bucket

	url string // such as s3://NAME
}

// read returns length bytes of the object from offset on, or all bytes from there if length is negative. The error is
// errObjectChanged if the object is gone or has another version.
func (o *object) read(ctx context.Context, offset, length int64) (io.ReadCloser, error) {
	body, err := o.Read(ctx, o.key, o.version, offset, length)
	if errors.Is(err, bucket.ErrGone) {
		return nil, errObjectChanged
	}
	return body, away(err)
}

// away makes the error of a request to a bucket an ErrAway if it is one. The text stays as it is.
func away(err error) error {
	if bucket.Away(err) {
		return awayError{err}
	}
	return err
}

type awayError struct{ error }

func (e awayError) Unwrap() []error { return []error{e.error, ErrAway} }

var errObjectChanged = fmt.Errorf("%w: the object is gone or another one since the job began", ErrChanged)

// IsObject reports whether an item of a source names objects in a bucket.
func IsObject(item string) bool {
	_, _, is := bucket.CutScheme(item)
	return is
}

// buckets are the open buckets of a source.
type buckets struct {
	openBucket func(scheme, name string) (bucket.Bucket, error)
	open       map[string]*opened // by URL
}

func (b *buckets) get(scheme, name string) (*opened, error) {
	url := scheme + name
	if known := b.open[url]; known != nil {
		return known, nil
	}
	in, err := b.openBucket(scheme, name)
	if err != nil {
		return nil, err
	}
	b.open[url] = &opened{Bucket: in, url: url}
	return b.open[url], nil
}

func (b *buckets) close() error {
	var errs []error
	for _, one := range b.open {
		errs = append(errs, one.Close())
	}
	return errors.Join(errs...)
}

// objectForm is a hint that shows how to name objects in buckets with this scheme.
func objectForm(scheme string) string {
	return fmt.Sprintf("%[1]sBUCKET/KEY, %[1]sBUCKET/FOLDER/ for all objects below it, or a glob such as %[1]sBUCKET/logs/**/*.jsonl.gz", scheme)
}

// expand returns the objects of an item, ordered by key. wanted is the required version of a single object, or "".
func (b *buckets) expand(ctx context.Context, item, wanted string) ([]*object, error) {
	scheme, rest, _ := bucket.CutScheme(item)
	name, rest, _ := strings.Cut(rest, "/")
	if name == "" || strings.ContainsAny(name, "@:*?[%") {
		return nil, errors.New("the bucket is missing or wrong; use " + objectForm(scheme))
	}
	key, pattern, err := decodePattern(rest)
	if err != nil {
		return nil, err
	}
	in, err := b.get(scheme, name)
	if err != nil {
		return nil, err
	}
	prefix := key
	if pattern != "" {
		prefix = literalPrefix(pattern)
	}
	var exact *object
	var found []*object
	folder := strings.TrimSuffix(key, "/") + "/"
	err = in.List(ctx, prefix, func(name, version string, size int64) {
		o := &object{opened: in, key: name, version: version, size: size}
		switch {
		case strings.HasSuffix(name, "/"): // a placeholder for a folder in some programs
		case name == key:
			exact = o
		case pattern != "" && matchKey(pattern, name),
			pattern == "" && key == "" && matchKey("**", name),
			pattern == "" && strings.HasPrefix(name, folder) && matchKey("**", name[len(folder):]):
			found = append(found, o)
		}
	})
	if exact != nil {
		found = []*object{exact}
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("list objects: %w", away(err))
	case len(found) == 0:
		return nil, errors.New("no object matches; use " + objectForm(scheme))
	case wanted != "" && (exact == nil || exact.version != wanted):
		return nil, fmt.Errorf("%w: it has the ETag %s, and not %s", ErrChanged, found[0].version, wanted)
	}
	slices.SortFunc(found, func(a, b *object) int { return strings.Compare(a.key, b.key) })
	return found, nil
}

// literalPrefix returns the common prefix of all keys that match a pattern.
func literalPrefix(pattern string) string {
	var b strings.Builder
	for i := 0; i < len(pattern); i++ {
		switch pattern[i] {
		case '*', '?', '[':
			return b.String()
		case '\\':
			if i++; i == len(pattern) {
				return b.String()
			}
		}
		b.WriteByte(pattern[i])
	}
	return b.String()
}

// matchKey reports whether a key matches a pattern, by the rules of glob.
func matchKey(pattern, key string) bool {
	return matchParts(strings.Split(pattern, "/"), strings.Split(key, "/"))
}

func matchParts(pattern, parts []string) bool {
	switch {
	case len(pattern) == 0 || len(parts) == 0:
		return len(pattern) == len(parts)
	case pattern[0] == "**" && len(pattern) == 1: // every object below
		return !slices.ContainsFunc(parts, isHidden)
	case pattern[0] == "**":
		return matchParts(pattern[1:], parts) || !isHidden(parts[0]) && matchParts(pattern, parts[1:])
	case isHidden(parts[0]) && !strings.HasPrefix(strings.TrimPrefix(pattern[0], `\`), "."):
		return false
	}
	matches, err := filepath.Match(pattern[0], parts[0])
	return err == nil && matches && matchParts(pattern[1:], parts[1:])
}

// etagOption splits the version from the options of an item.
func etagOption(options string) (version, others string, err error) {
	var rest []string
	for pair := range strings.SplitSeq(options, "&") {
		if value, ok := strings.CutPrefix(pair, "etag="); ok {
			if version, err = url.PathUnescape(value); err != nil {
				return "", "", err
			}
		} else if pair != "" {
			rest = append(rest, pair)
		}
	}
	return version, strings.Join(rest, "&"), nil
}
