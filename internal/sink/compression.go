package sink

import (
	"fmt"
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

// zstdWindow is how far back zstd looks for repetitions, 1 MiB. The encoder's memory is a small multiple of it, and the
// default would be half of what a saver may use in deploy/.
const zstdWindow = 1 << 20

// compressions are all of them; the one without an extension is the last.
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
	i := slices.IndexFunc(compressions, func(c compression) bool { return c.extension == extension })
	if i < 0 {
		i = len(compressions) - 1
	}
	return compressions[i]
}

// Decompress returns the lines of an ordered file, whose compression the end of its name selects.
func Decompress(path string, r io.Reader) (io.ReadCloser, error) {
	lines, err := compressionOf(path).reader(r)
	if err != nil {
		return nil, fmt.Errorf("decompress %s: %w", path, err)
	}
	return lines, nil
}

// Compress returns a writer of the lines of an ordered file, whose compression the end of its name selects. Closing it does
// not close w.
func Compress(path string, w io.Writer) (io.WriteCloser, error) {
	lines, err := compressionOf(path).writer(w)
	if err != nil {
		return nil, fmt.Errorf("compress %s: %w", path, err)
	}
	return lines, nil
}

// MediaType returns the media type of the content of an ordered file.
func MediaType(path string) string { return compressionOf(path).mediaType }

// TrimCompression returns a file name without the extension of its compression.
func TrimCompression(name string) string {
	return name[:len(name)-len(compressionOf(name).extension)]
}

// CheckMediaType returns an error if a file name promises another compression than the media type of its content is.
func CheckMediaType(name, mediaType string) error {
	i := slices.IndexFunc(compressions, func(c compression) bool { return c.mediaType == mediaType })
	if i < 0 {
		return fmt.Errorf("the result has the unknown media type %q", mediaType)
	}
	if has := compressions[i]; has.extension != compressionOf(name).extension {
		return fmt.Errorf("the result is %s: use the name %s", mediaType, TrimCompression(name)+has.extension)
	}
	return nil
}

// promised are extensions of formats that ordered files do not have.
var promised = []string{".csv", ".tsv", ".parquet", ".avro", ".arrow", ".xlsx", ".zip", ".bz2", ".xz", ".lz4", ".br", ".snappy"}

// checkName refuses a file name that promises another format than the file would have.
func checkName(path string) error {
	inner := TrimCompression(path)
	if extension := strings.ToLower(filepath.Ext(inner)); slices.Contains(promised, extension) {
		return fmt.Errorf("output %s: the file would hold JSON Lines and not %s: use a name such as %s.jsonl, %[3]s.jsonl.gz or %[3]s.jsonl.zst: %w",
			path, extension, strings.TrimSuffix(filepath.Base(inner), filepath.Ext(inner)), ErrSettings)
	}
	return nil
}
