package sink

import (
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// A compression is how an ordered file is compressed. The end of the file's name selects it.
type compression struct {
	extension string // with its dot; "": none
	mediaType string
	writer    func(io.Writer) (io.WriteCloser, error)
	reader    func(io.Reader) (io.ReadCloser, error)
}

// zstdWindow is how far back zstd looks for repetitions, 1 MiB. The encoder's memory is a small multiple of it, and
// with the default window it would take half of the memory that a saver may use in deploy/.
const zstdWindow = 1 << 20

// compressions lists all compressions. The one without an extension is the last.
var compressions = []compression{
	{
		".gz", "application/gzip",
		func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriter(w), nil },
		func(r io.Reader) (io.ReadCloser, error) { return gzip.NewReader(r) },
	}, {
		".zst", "application/zstd",
		// With a concurrency of 1 neither starts a goroutine.
		func(w io.Writer) (io.WriteCloser, error) {
			return zstd.NewWriter(w, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(zstdWindow), zstd.WithLowerEncoderMem(true))
		},
		func(r io.Reader) (io.ReadCloser, error) {
			z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1))
			if err != nil {
				return nil, err
			}
			return z.IOReadCloser(), nil
		},
	}, {
		"", "application/x-ndjson",
		func(w io.Writer) (io.WriteCloser, error) { return unclosed{w}, nil },
		func(r io.Reader) (io.ReadCloser, error) { return io.NopCloser(r), nil },
	},
}

// unclosed is a writer that its owner closes.
type unclosed struct{ io.Writer }

func (unclosed) Close() error { return nil }

func compressionOf(path string) compression {
	extension := strings.ToLower(filepath.Ext(path))
	return compressions[slices.IndexFunc(compressions, func(c compression) bool { return c.extension == extension || c.extension == "" })]
}
