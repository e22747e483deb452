package objectsink

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/chunkline/chunkline/internal/bucket"
	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/spelling"
	"github.com/chunkline/chunkline/internal/tabular"
)

// IsSpec reports whether spec names a bucket.
func IsSpec(spec string) bool {
	_, _, is := bucket.CutScheme(spec)
	return is
}

// Path returns BUCKET/PREFIX of a spec, as it is written there.
func Path(spec string) string {
	_, rest, _ := bucket.CutScheme(spec)
	path, _, _ := strings.Cut(rest, "?")
	return strings.Trim(path, "/")
}

// settings are what a spec says.
type settings struct {
	scheme string // of bucket.CutScheme
	bucket string
	prefix string // of all keys; "" or ends in "/"
	format string // of the parts: the end of their names, without the first dot
	size   int64  // of a part, to aim at
	given  bool   // format or size were given
}

const (
	leastSize, usualSize, mostSize = 1 << 20, 64 << 20, 1 << 30
)

// form is a hint that shows how to name a place in a bucket with this scheme.
func form(scheme string) string {
	return "use " + scheme + "BUCKET/PREFIX, with ?format=jsonl.zst and &size=64MiB if you like"
}

// formats are those of the parts with outputs.
var formats = []string{"jsonl", "jsonl.gz", "jsonl.zst", "csv", "csv.gz", "csv.zst", "parquet"}

// table returns the format of the parts with outputs; 0: they have JSON Lines.
func (o settings) table() tabular.Format { return sink.TableOf("." + o.format) }

// at is the location of the sink, for people and in the syntax of a source.
func (o settings) at() string {
	return o.scheme + o.bucket + "/" + strings.TrimSuffix((&url.URL{Path: o.prefix}).EscapedPath(), "/")
}

func parse(spec string) (settings, error) {
	scheme, rest, _ := bucket.CutScheme(spec)
	o := settings{scheme: scheme, format: formats[0], size: usualSize}
	location, options, _ := strings.Cut(rest, "?")
	name, path, _ := strings.Cut(location, "/")
	if name == "" || strings.ContainsAny(name, "@:*?[%") {
		return o, errors.New("the bucket is missing or wrong; " + form(scheme))
	}
	prefix, err := url.PathUnescape(path)
	if err != nil {
		return o, fmt.Errorf(`%w; write "%%" itself as %%25`, err)
	}
	o.bucket = name
	if prefix = strings.Trim(prefix, "/"); prefix != "" {
		o.prefix = prefix + "/"
	}
	if strings.ContainsFunc(prefix, func(r rune) bool { return r < 0x20 || r == 0x7f }) || strings.Contains(prefix, "//") {
		return o, errors.New("the prefix has an empty part or a control character; " + form(scheme))
	}
	values, err := url.ParseQuery(options)
	if err != nil {
		return o, fmt.Errorf("%w; %s", err, form(scheme))
	}
	o.given = len(values) > 0
	for key, given := range values {
		switch {
		case key != "format" && key != "size":
			return o, fmt.Errorf("there is no setting %q%s%s", key, spelling.Hint(key, []string{"format", "size"}), form(scheme))
		case len(given) > 1:
			return o, fmt.Errorf("%s is set twice", key)
		case key == "format":
			o.format, err = parseFormat(given[0])
		default:
			o.size, err = parseSize(given[0])
		}
		if err != nil {
			return o, err
		}
	}
	return o, nil
}

func parseFormat(text string) (string, error) {
	if !slices.Contains(formats, text) {
		return "", fmt.Errorf("format=%s: use %s", text, strings.Join(formats, ", "))
	}
	return text, nil
}

func parseSize(text string) (int64, error) {
	number, isMiB := strings.CutSuffix(text, "MiB")
	unit := int64(1 << 20)
	if !isMiB {
		number, unit = strings.TrimSuffix(text, "GiB"), 1<<30
	}
	n, err := strconv.ParseInt(number, 10, 32)
	if err != nil || number == text || n*unit < leastSize || n*unit > mostSize {
		return 0, fmt.Errorf("size=%s: use %dMiB to %dGiB, such as size=64MiB", text, leastSize>>20, mostSize>>30)
	}
	return n * unit, nil
}
