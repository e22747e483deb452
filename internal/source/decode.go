package source

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// compression is how the bytes of a file are packed.
type compression int

const (
	plain compression = iota
	gzipped
	zstandard
	unknown // packed in a way that cannot be read here
)

// magics are the first bytes of packed files. None of them begins JSON.
var magics = [...]struct {
	bytes string
	kind  compression
	name  string
}{
	{"\x1f\x8b", gzipped, "gzip"},
	{"\x28\xb5\x2f\xfd", zstandard, "zstd"},
	{"\xfd7zXZ\x00", unknown, "xz"},
	{"BZh", unknown, "bzip2"},
	{"PK\x03\x04", unknown, "zip"},
}

// longestMagic is how many bytes compressionOf may want to see.
const longestMagic = 6

// compressionOf tells by the first bytes of a file how it is packed. More says
// that these are too few bytes to tell.
func compressionOf(head []byte) (kind compression, name string, more bool) {
	for _, m := range magics {
		if bytes.HasPrefix(head, []byte(m.bytes)) {
			return m.kind, m.name, false
		}
		more = more || strings.HasPrefix(m.bytes, string(head))
	}
	// zstd may begin with a frame that is to be skipped: 0x184D2A50 to 5F.
	if len(head) > 0 && head[0]&0xf0 == 0x50 {
		const rest = "\x2a\x4d\x18"
		if bytes.HasPrefix(head[1:], []byte(rest)) {
			return zstandard, "zstd", false
		}
		more = more || strings.HasPrefix(rest, string(head[1:]))
	}
	return plain, "", more
}

// zstdWindow is the largest window that is decoded, as in the zstd program: it
// is memory that the file's author decides on.
const zstdWindow = 128 << 20

// decode returns the content of r: r itself or what is packed in it, all
// members of a gzip file and all frames of a zstd file.
func decode(r io.Reader) (io.ReadCloser, error) {
	counted := &counter{r: r}
	buffered := bufio.NewReaderSize(counted, 64<<10)
	kind, name, more := compressionOf(nil)
	for n := 1; more; n++ { // no more than needed: a slow stdin may not have it yet
		head, err := buffered.Peek(n)
		if err != nil && err != io.EOF {
			return nil, err
		}
		kind, name, more = compressionOf(head)
		more = more && err == nil
	}
	switch kind {
	case gzipped:
		z, err := newMembers(buffered, counted)
		return decoder{z, name}, wrapDecode(name, err)
	case zstandard:
		// With a concurrency of 1 the decoder starts no goroutines.
		z, err := zstd.NewReader(buffered, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(zstdWindow))
		if err != nil {
			return nil, wrapDecode(name, err)
		}
		return decoder{z.IOReadCloser(), name}, nil
	case plain:
		return io.NopCloser(buffered), nil
	case unknown:
	}
	return nil, unsupported(name)
}

func unsupported(name string) error {
	return fmt.Errorf("%s is not supported; unpack it, or pack it with gzip or zstd", name)
}

// A decoder says in its errors what it was decoding.
type decoder struct {
	io.ReadCloser
	name string
}

func (d decoder) Read(b []byte) (int, error) {
	n, err := d.ReadCloser.Read(b)
	return n, wrapDecode(d.name, err)
}

func wrapDecode(name string, err error) error {
	var file *fs.PathError
	switch {
	case err == nil, err == io.EOF, errors.As(err, &file): //nolint:errorlint // only io.EOF itself is the end; the last is not about the content
		return err
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%s data is cut off: %w", name, err)
	case errors.Is(err, errBehind):
		return fmt.Errorf("%s data %w", name, err)
	case errors.Is(err, zstd.ErrMagicMismatch):
		return fmt.Errorf("%s data is followed by something else, or damaged: %w", name, err)
	case errors.Is(err, zstd.ErrWindowSizeExceeded):
		return fmt.Errorf("%s data needs more than %d MiB of memory; pack it without --long or --ultra: %w", name, zstdWindow>>20, err)
	}
	return fmt.Errorf("%s data is damaged: %w", name, err)
}
