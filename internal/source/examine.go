package source

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"syscall"

	"github.com/chunkline/chunkline/internal/chunk"
)

// examine checks that the file exists and can be read, and finds its size, its
// compression and, for found, its format. It does not open a stream, because that
// would consume data.
func (f *file) examine(found *formats) (compressed bool, err error) {
	refuse := func(err error) (bool, error) {
		return false, fmt.Errorf("%w %q: %w", ErrSettings, f.name, err)
	}
	if f.stream != nil {
		if f.format.parquet {
			return refuse(errNoPipe)
		}
		return false, nil
	}
	info, err := os.Stat(f.name)
	switch {
	case err != nil:
		return refuse(fmt.Errorf("%w; %s", cause(err), howTo))
	case info.IsDir():
		return refuse(fmt.Errorf("it is a directory; name its files, as in %q", filepath.Join(f.name, "*.jsonl")))
	}
	f.inode = inodeOf(info)
	if !info.Mode().IsRegular() {
		if f.format.parquet {
			return refuse(errNoPipe)
		}
		return false, nil
	}
	f.regular, f.size = true, info.Size()
	disk, err := os.Open(f.name)
	if err != nil {
		return refuse(fmt.Errorf("%w; it must be readable for this user", cause(err)))
	}
	defer func() { err = errors.Join(err, disk.Close()) }()
	head := make([]byte, longestMagic)
	n, err := io.ReadFull(disk, head)
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
	var problem error
	switch {
	case f.format.parquet && kind != plain:
		problem = fmt.Errorf("a Parquet file is compressed inside and read in any order; decompress it (%s)", name)
	case f.format.parquet:
		problem = checkParquet(disk, f.size)
	case f.format.kind == chunk.CSV:
		problem = f.checkTable(disk)
	case f.format.isAuto():
		var guess chunk.Guess
		guess, problem = look(disk)
		found.add(guess, f.word())
	}
	if problem != nil {
		return refuse(problem)
	}
	return kind != plain, nil
}

// checkTable reads the header of a table.
func (f *file) checkTable(disk *os.File) error {
	content, err := decode(io.NewSectionReader(disk, 0, math.MaxInt64))
	if err != nil {
		return nil // reported when the file is read
	}
	defer func() { _ = content.Close() }() // it was only read
	_, err = f.format.table.ReadColumns(content)
	if _, ok := errors.AsType[*chunk.InputError](err); ok {
		return err
	}
	return nil
}

// look guesses the format of a file. Errors in its content are reported when the
// file is read.
func look(disk *os.File) (chunk.Guess, error) {
	if _, err := disk.Seek(0, io.SeekStart); err != nil {
		return chunk.Nothing, cause(err)
	}
	content, err := decode(disk)
	if err != nil {
		return chunk.Nothing, nil // reported when the file is read
	}
	defer func() { _ = content.Close() }() // it was only read
	guess, err := chunk.GuessFormat(content)
	if _, ok := errors.AsType[*chunk.InputError](err); ok {
		return chunk.Nothing, err
	}
	return guess, nil
}

// inode identifies a file regardless of its name.
type inode struct{ device, number uint64 }

func inodeOf(info fs.FileInfo) inode {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return inode{uint64(stat.Dev), uint64(stat.Ino)} //nolint:unconvert // systems differ
	}
	return inode{}
}

// once refuses a list that names a file twice: the user may expect it to be read
// twice, or once.
func once(list []file) error {
	seen := make(map[inode]string, len(list))
	for _, f := range list {
		if f.inode == (inode{}) {
			continue
		}
		other, ok := seen[f.inode]
		if ok && other == f.name {
			return fmt.Errorf("%w: %s is named twice, directly or by a glob; name it once", ErrSettings, f.word())
		} else if ok {
			return fmt.Errorf("%w: %s and %s are the same file; name it once", ErrSettings, (&file{name: other}).word(), f.word())
		}
		seen[f.inode] = f.name
	}
	return nil
}

// formats decides, once for a job, how to read files that hold just one array on
// one line: as an array of objects, or as a line that is an object. The other files
// of the job decide. All regular files are examined before the first is read;
// streams cannot be read twice and are examined in turn.
type formats struct {
	// The first file of each kind, by its label; "" if there is none.
	oneLine string // one array on one line
	arrays  string // an array
	lines   string // lines, the first of which holds an array
	others  string // lines or values that do not begin with an array

	decided bool         // a file of one line has been read
	as      chunk.Format // as this format
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

// oneLineFormat returns the format of files of one line. It is an error if the
// files contradict each other, or the format that was returned before.
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
