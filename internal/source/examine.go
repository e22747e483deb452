package source

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sync/errgroup"

	"github.com/chunkline/chunkline/internal/chunk"
)

// An examination is what is known about a file before it is read.
type examination struct {
	compressed bool
	guess      chunk.Guess // of files whose format is not known
}

// examining is how many files are examined at the same time. Examining an object takes a request.
const examining = 16

// examineAll examines files. If several fail, it returns the error of the first file.
func examineAll(list []file) ([]examination, error) {
	results, errs := make([]examination, len(list)), make([]error, len(list))
	group, working := errgroup.WithContext(context.Background())
	group.SetLimit(examining)
	for i := range list {
		group.Go(func() error {
			if working.Err() == nil {
				results[i], errs[i] = list[i].examine()
			}
			return errs[i]
		})
	}
	_ = group.Wait() // it returns the error that came first
	return results, cmp.Or(errs...)
}

// examine checks that the file exists and can be read, and finds its size, its compression and its format. It does not
// open a stream, because that would consume data.
func (f *file) examine() (result examination, err error) {
	refuse := func(err error) (examination, error) {
		name := f.name
		if f.object != nil {
			name = f.word()
		}
		return examination{}, fmt.Errorf("%w %q: %w", ErrSettings, name, err)
	}
	if f.stream != nil {
		if f.format.parquet {
			return refuse(errNoPipe)
		}
		return result, nil
	}
	if f.object != nil {
		f.regular, f.size = true, f.object.size
	} else if err := f.examineName(); err != nil {
		return refuse(err)
	}
	if !f.regular {
		return result, nil
	}
	in, err := f.openContent(context.Background)
	if err != nil {
		return refuse(fmt.Errorf("%w; it must be readable for this user", cause(err)))
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	head := make([]byte, longestMagic)
	n, err := io.ReadFull(in, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return refuse(cause(err))
	}
	kind, name, _ := compressionOf(head[:n])
	switch {
	case kind == unknown:
		return refuse(unsupported(name))
	case f.format.isAuto() && bytes.HasPrefix(head[:n], []byte(parquetMagic)):
		f.format = Format{parquet: true, text: "parquet"}
	}
	result.compressed = kind != plain
	all := io.MultiReader(bytes.NewReader(head[:n]), in)
	var problem error
	switch {
	case f.format.parquet && kind != plain:
		problem = fmt.Errorf("a Parquet file is compressed inside and read in any order; decompress it (%s)", name)
	case f.format.parquet:
		_, problem = newParquetReader(in, f.size) // it reads only the footer
	case f.format.kind == chunk.CSV:
		problem = look(all, func(content io.Reader) error {
			_, err := f.format.table.ReadColumns(content)
			return err
		})
	case f.format.isAuto():
		problem = look(all, func(content io.Reader) (err error) {
			result.guess, err = chunk.GuessFormat(content)
			return err
		})
	}
	if problem != nil {
		return refuse(problem)
	}
	return result, nil
}

// examineName examines the file with this name.
func (f *file) examineName() error {
	info, err := os.Stat(f.name)
	switch {
	case err != nil:
		return fmt.Errorf("%w; %s", cause(err), howTo)
	case info.IsDir():
		return fmt.Errorf("it is a directory; name its files, as in %q", filepath.Join(f.name, "*.jsonl"))
	}
	f.inode = inodeOf(info)
	switch {
	case info.Mode().IsRegular():
		f.regular, f.size = true, info.Size()
	case f.format.parquet:
		return errNoPipe
	}
	return nil
}

// look calls do with the uncompressed content of a file. It ignores all errors but a *chunk.InputError, because reading
// the file reports them.
func look(in io.Reader, do func(content io.Reader) error) error {
	content, err := decode(in)
	if err != nil {
		return nil
	}
	defer func() { _ = content.Close() }() // it was only read
	err = do(content)
	if _, ok := errors.AsType[*chunk.InputError](err); ok {
		return err
	}
	return nil
}

// inode identifies a file regardless of its name.
type inode struct{ device, number uint64 }

func inodeOf(info fs.FileInfo) inode {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return inode{uint64(stat.Dev), uint64(stat.Ino)} //nolint:unconvert // the types differ by platform
	}
	return inode{}
}

// once refuses a list that names a file twice, because it is unclear whether to read it twice.
func once(list []file) error {
	seen := make(map[any]*file, len(list)) // by inode, or by the name of an object
	for i := range list {
		f := &list[i]
		var id any = f.inode
		switch {
		case f.object != nil:
			id = f.word()
		case f.inode == (inode{}): // a stream
			continue
		}
		switch other := seen[id]; {
		case other == nil:
			seen[id] = f
		case other.name == f.name:
			return fmt.Errorf("%w: %s is named twice, directly or by a glob; name it once", ErrSettings, f.word())
		default:
			return fmt.Errorf("%w: %s and %s are the same file; name it once", ErrSettings, other.word(), f.word())
		}
	}
	return nil
}

// formats decides, once for a job, how to read files that hold just one array on one line: as an array of objects, or
// as a line that is one object. The other files of the job determine it. All regular files are examined before the
// first is read; streams cannot be read twice, so each is examined when it is opened.
type formats struct {
	// The first file of each kind, by its label; "" if there is none.
	oneLine string // one array on one line
	arrays  string // an array
	lines   string // lines, the first of which holds an array
	others  string // lines or values that do not begin with an array

	decided bool         // a one-line file has been read
	as      chunk.Format // using this format
}

// add records the guess about a file.
func (f *formats) add(g chunk.Guess, label string) {
	var kind *string
	switch g {
	case chunk.Nothing:
		return
	case chunk.IsOneLine:
		kind = &f.oneLine
	case chunk.IsArray:
		kind = &f.arrays
	case chunk.IsLinesOfArrays:
		kind = &f.lines
	case chunk.IsLines, chunk.IsValues:
		kind = &f.others
	}
	if *kind == "" {
		*kind = label
	}
}

// oneLineFormat returns the format of one-line files. It fails if the files contradict each other, or the format that
// was returned before.
func (f *formats) oneLineFormat() (chunk.Format, error) {
	as, other := chunk.Array, ""
	switch {
	case f.oneLine == "":
		return as, nil
	case f.lines != "" && f.arrays != "":
		other = f.arrays + " is an array, and " + f.lines + " is lines"
	case f.lines != "":
		as, other = chunk.Lines, f.lines+" is lines"
	case f.others != "":
		other = f.others + " is not an array"
	case f.arrays != "":
		other = f.arrays + " is an array"
	}
	contradiction := f.lines == "" && f.others != "" || f.lines != "" && f.arrays != ""
	if contradiction || f.decided && f.as != as {
		return chunk.Auto, fmt.Errorf("%s is one array on one line, and %s: are the elements of that array the objects, or is the line one object? "+
			"Use --format array or --format lines (FORMAT), or append ?format=array or ?format=lines to the name of a file", f.oneLine, other)
	}
	f.decided, f.as = true, as
	return as, nil
}
