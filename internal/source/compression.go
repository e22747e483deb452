package source

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// compression is the compression format of a file.
type compression int

const (
	plain compression = iota
	gzipped
	zstandard
	unknown // compressed in an unsupported format
)

// magics are the first bytes of compressed files. No JSON text begins with any of them.
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

// longestMagic is the most bytes that compressionOf needs.
const longestMagic = 6

// compressionOf detects the compression of a file by its first bytes. more means that it needs more bytes to decide.
func compressionOf(head []byte) (kind compression, name string, more bool) {
	for _, m := range magics {
		if bytes.HasPrefix(head, []byte(m.bytes)) {
			return m.kind, m.name, false
		}
		more = more || strings.HasPrefix(m.bytes, string(head))
	}
	// A zstd file may begin with a skippable frame: 0x184D2A50 to 5F.
	if len(head) > 0 && head[0]&0xf0 == 0x50 {
		const rest = "\x2a\x4d\x18"
		if bytes.HasPrefix(head[1:], []byte(rest)) {
			return zstandard, "zstd", false
		}
		more = more || strings.HasPrefix(rest, string(head[1:]))
	}
	return plain, "", more
}

// zstdWindow is the largest window that is decoded, as in the zstd program. It limits how much memory the author of a
// file can make chunkline use.
const zstdWindow = 128 << 20

// decode returns the uncompressed content of r: all members of a gzip file, all frames of a zstd file, or r itself.
func decode(r io.Reader) (io.ReadCloser, error) {
	counted := &counter{r: r}
	buffered := bufio.NewReaderSize(counted, 64<<10)
	kind, name, more := compressionOf(nil)
	for n := 1; more; n++ { // read no more than needed: more bytes may take long to arrive
		head, err := buffered.Peek(n)
		if err != nil && err != io.EOF {
			return nil, err
		}
		kind, name, more = compressionOf(head)
		more = more && err == nil
	}
	switch kind {
	case gzipped:
		z := &members{z: new(gzip.Reader), r: buffered, counted: counted}
		return decoder{z, name}, wrapDecode(name, z.begin())
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
	return fmt.Errorf("%s is not supported; decompress it, or compress it with gzip or zstd", name)
}

// A decoder names the compression in its errors.
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
		return fmt.Errorf("%s data is truncated: %w", name, err)
	case errors.Is(err, errTrailing):
		return fmt.Errorf("%s data %w", name, err)
	case errors.Is(err, zstd.ErrMagicMismatch):
		return fmt.Errorf("%s data is damaged or followed by something else: %w", name, err)
	case errors.Is(err, zstd.ErrWindowSizeExceeded):
		return fmt.Errorf("%s data needs more than %d MiB of memory; compress it without --long or --ultra: %w", name, zstdWindow>>20, err)
	}
	return fmt.Errorf("%s data is damaged: %w", name, err)
}

// members reads the members of a gzip file one after another. Zeros may follow the last one, because tapes and some
// programs pad blocks with them.
type members struct {
	z       *gzip.Reader
	r       *bufio.Reader
	counted *counter
}

// errTrailing means that other data follows compressed data.
var errTrailing = errors.New("is followed by something else")

// begin reads the header of a member.
func (m *members) begin() error {
	err := m.z.Reset(m.r)
	if err == io.EOF { //nolint:errorlint // only io.EOF itself would be taken for the end
		return io.ErrUnexpectedEOF
	}
	m.z.Multistream(false)
	return err
}

func (m *members) Read(b []byte) (int, error) {
	for {
		n, err := m.z.Read(b)
		if err != io.EOF { //nolint:errorlint // only io.EOF itself is the end
			return n, err
		}
		if n > 0 {
			return n, nil // the next call reports the end again
		}
		if err := m.next(); err != nil {
			return 0, err
		}
	}
}

func (m *members) Close() error { return m.z.Close() }

// next begins the next member and returns io.EOF if there is none.
func (m *members) next() error {
	end := m.counted.n - int64(m.r.Buffered())
	for zeros := 0; ; zeros++ {
		head, err := m.r.Peek(1)
		if err != nil {
			return err
		}
		if head[0] == 0 {
			_, _ = m.r.Discard(1) // it is buffered
			continue
		}
		head, err = m.r.Peek(2)
		switch {
		case err != nil && err != io.EOF: // only io.EOF itself is the end
			return err
		case zeros == 0 && string(head) == "\x1f":
			return io.ErrUnexpectedEOF
		case zeros == 0 && string(head) == "\x1f\x8b":
			return m.begin()
		}
		head, _ = m.r.Peek(min(16, m.r.Buffered()))
		return fmt.Errorf("%w: it ends with byte %d, and %q is not gzip; to ignore the rest, keep only the first %d bytes", errTrailing, end, head, end)
	}
}

// counter counts the bytes read.
type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n += int64(n)
	return n, err
}
