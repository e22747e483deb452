package sink

import (
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/chunkline/chunkline/internal/tabular"
)

// A Part is one of several ordered files that a sink writes instead of one. The results of a piece are in one part.
type Part struct {
	Location string // the end of its name selects format and compression
	Lines    uint64 // outputs or dead letters
	Content  []byte // compressed
}

// TableOf returns the table that an ordered file holds, by the end of its name: .csv, .csv.gz, .csv.zst or .parquet; 0:
// it holds JSON Lines.
func TableOf(path string) tabular.Format { return tabular.FormatOf(TrimCompression(path)) }

// Decompress returns the content of an ordered file, whose compression the end of its name selects.
func Decompress(path string, r io.Reader) (io.ReadCloser, error) {
	content, err := compressionOf(path).reader(r)
	if err != nil {
		return nil, fmt.Errorf("decompress %s: %w", path, err)
	}
	return content, nil
}

// Compress returns a writer of the content of an ordered file, whose compression the end of its name selects. Closing
// it does not close w.
func Compress(path string, w io.Writer) (io.WriteCloser, error) {
	content, err := compressionOf(path).writer(w)
	if err != nil {
		return nil, fmt.Errorf("compress %s: %w", path, err)
	}
	return content, nil
}

// MediaType returns the media type of an ordered file.
func MediaType(path string) string {
	if table := tabular.FormatOf(path); table != 0 {
		return table.MediaType()
	}
	return compressionOf(path).mediaType
}

// TrimCompression returns a file name without the extension of its compression.
func TrimCompression(name string) string {
	return name[:len(name)-len(compressionOf(name).extension)]
}

// CheckMediaType returns an error if a file name promises another compression than lines of a media type have.
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
var promised = []string{".tsv", ".avro", ".arrow", ".xlsx", ".zip", ".bz2", ".xz", ".lz4", ".br", ".snappy"}

// CheckName refuses a file name that promises another format than the ordered outputs would have. The error is an
// ErrSettings.
func CheckName(path string) error { return checkName(path, promised) }

// checkDeadName does the same for dead letters, which are always lines.
func checkDeadName(path string) error {
	return checkName(path, append([]string{".csv", ".parquet"}, promised...))
}

func checkName(path string, promised []string) error {
	inner := TrimCompression(path)
	extension := strings.ToLower(filepath.Ext(inner))
	base := strings.TrimSuffix(filepath.Base(inner), filepath.Ext(inner))
	switch {
	case slices.Contains(promised, extension):
		return fmt.Errorf("output %s: the file would hold JSON Lines and not %s: use a name such as %s.jsonl, %[3]s.jsonl.gz or %[3]s.jsonl.zst: %w",
			path, extension, base, ErrSettings)
	case extension == ".parquet" && inner != path:
		return fmt.Errorf("output %s: a Parquet file is compressed within: use the name %s.parquet: %w", path, base, ErrSettings)
	}
	return nil
}
