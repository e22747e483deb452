package source

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"unicode/utf8"

	"github.com/chunkline/chunkline/internal/chunk"
)

// howTo ends the error for an item that names nothing.
const howTo = `give a file, a glob such as "data/*.jsonl", or "-" for standard input`

// A file is one stream of a source.
type file struct {
	name    string // cleaned, as given
	format  chunk.Format
	regular bool      // it can be opened again and read from any offset
	size    int64     // bytes; 0 if not regular
	stdin   io.Reader // not nil: it is standard input
	inode   inode     // zero for standard input
}

// inode identifies a file, whatever it is called.
type inode struct{ device, number uint64 }

func inodeOf(info fs.FileInfo) inode {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return inode{uint64(stat.Dev), uint64(stat.Ino)} //nolint:unconvert // systems differ
	}
	return inode{}
}

// once refuses a list that names a file twice: to read it twice, or once, may
// both be a surprise.
func once(list []file) error {
	seen := make(map[inode]string, len(list))
	for _, f := range list {
		if f.inode == (inode{}) {
			continue
		}
		other, ok := seen[f.inode]
		if ok && other == f.name {
			return fmt.Errorf("%w: %s is named twice, by itself or by a glob; name it once", ErrSettings, f.word())
		} else if ok {
			return fmt.Errorf("%w: %s and %s are the same file; name it once", ErrSettings, (&file{name: other}).word(), f.word())
		}
		seen[f.inode] = f.name
	}
	return nil
}

// label names the file in the plan, in the words of a source:
// opening a label opens the same file.
func (f *file) label() string {
	if f.format == chunk.Auto {
		return f.word()
	}
	return f.word() + formatOf + f.format.String()
}

// word names the file to a person, without its format.
func (f *file) word() string {
	switch {
	case f.stdin != nil:
		return "stdin"
	case needsURL(f.name):
		return "file:" + escape(f.name)
	}
	return f.name
}

// formatOf stands between an item and its format.
const formatOf = "?format="

// identity names the source in the plan.
func identity(list []file) string {
	const most = 4 << 10
	labels := make([]string, len(list))
	for i := range list {
		labels[i] = list[i].label()
	}
	all := strings.Join(labels, ",")
	if len(all) <= most {
		return all
	}
	return fmt.Sprintf("%s and %d more files (sha256 of all names: %x)", labels[0], len(list)-1, sha256.Sum256([]byte(all)))
}

var scheme = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9+.-]*)://`)

// expand turns the words of a source into its files. Of the files it only
// looks whether they are there. Items that name no format have that of the job.
func expand(spec string, ofJob chunk.Format, stdin io.Reader, own written) ([]file, error) {
	var list []file
	items := strings.Split(spec, ",")
	for _, item := range items {
		word, format, err := cutFormat(strings.TrimSpace(item), ofJob)
		switch {
		case err != nil:
			return nil, err
		case word == "" && len(items) == 1:
			return nil, fmt.Errorf("%w: it is empty; %s", ErrSettings, howTo)
		case word == "":
			return nil, fmt.Errorf("%w %q: an item of the list is empty", ErrSettings, spec)
		case word == "-" || word == "stdin:":
			if len(items) > 1 {
				return nil, fmt.Errorf("%w %q: standard input must stand alone", ErrSettings, spec)
			}
			if stdin == nil {
				return nil, fmt.Errorf("%w %q: there is no standard input here", ErrSettings, spec)
			}
			return []file{{name: "stdin", format: format, stdin: stdin}}, nil
		}
		names, err := expandItem(word, own)
		if err != nil {
			return nil, fmt.Errorf("%w %q: %w", ErrSettings, word, err)
		}
		for _, name := range names {
			list = append(list, file{name: name, format: format})
		}
	}
	return list, nil
}

// cutFormat takes the format from the end of an item.
func cutFormat(item string, ofJob chunk.Format) (string, chunk.Format, error) {
	i := strings.LastIndex(item, formatOf)
	if i < 0 {
		return item, ofJob, nil
	}
	word, value := item[:i], item[i+len(formatOf):]
	if format, err := chunk.ParseFormat(value); err == nil && value != "" {
		return word, format, nil
	}
	return "", 0, fmt.Errorf("%w %q: format=%s: use format=auto, lines, array or values", ErrSettings, word, value)
}

// expandItem returns the cleaned names of the files that a word stands for.
func expandItem(word string, own written) ([]string, error) {
	path, pattern := word, word
	if rest, ok := strings.CutPrefix(word, "file:"); ok {
		var err error
		if path, pattern, err = fromURL(rest); err != nil {
			return nil, err
		}
	} else if other := scheme.FindStringSubmatch(word); other != nil {
		return nil, fmt.Errorf("no source is called %s:; %s", other[1], howTo)
	}
	if _, err := os.Lstat(path); err == nil { // also when it looks like a glob
		if own.has(path) {
			return nil, errWritten
		}
		return []string{filepath.Clean(path)}, nil
	} else if !strings.ContainsAny(pattern, "*?[") || pattern == "" {
		return nil, fmt.Errorf("%w; %s", cause(err), howTo)
	}
	names, err := glob(pattern)
	found := len(names)
	names = own.without(names)
	switch {
	case errors.Is(err, filepath.ErrBadPattern):
		return nil, fmt.Errorf("%w: a glob is made of *, **, ? and [a-z]", err)
	case err != nil:
		return nil, fmt.Errorf("read the folders of the glob: %w; they must be readable for this user", err)
	case len(names) == 0 && found > 0:
		return nil, fmt.Errorf("the glob matches nothing but what the job itself writes; %s", howTo)
	case len(names) == 0:
		return nil, fmt.Errorf("the glob matches no file; %s", howTo)
	}
	return names, nil
}

// fromURL returns the path in the rest of a file: URL, and the same as a glob
// pattern, in which what was percent-encoded stands for itself; no pattern if
// nothing in it is a wildcard.
func fromURL(rest string) (path, pattern string, err error) {
	if host, ok := strings.CutPrefix(rest, "//"); ok {
		host, local, _ := strings.Cut(host, "/")
		if host != "" && host != "localhost" {
			return "", "", fmt.Errorf("a file: URL names a file of this machine, as in file:///data/users.jsonl, not of %q", host)
		}
		rest = "/" + local
	}
	if strings.Contains(rest, "?") {
		return "", "", errors.New(`in a file: URL write "?" as %3F`)
	}
	if path, err = url.PathUnescape(rest); err != nil {
		return "", "", fmt.Errorf(`%w; write "%%" itself as %%25`, err)
	}
	if path == "" {
		return "", "", errors.New("it has no path")
	}
	if !strings.ContainsAny(rest, "*[") {
		return path, "", nil
	}
	var glob strings.Builder
	for i := 0; i < len(rest); i++ {
		if rest[i] != '%' {
			glob.WriteByte(rest[i])
			continue
		}
		plain, _ := url.PathUnescape(rest[i : i+3]) // it has been checked above
		if strings.ContainsAny(plain, `*?[\`) {
			glob.WriteByte('\\')
		}
		glob.WriteString(plain)
		i += 2
	}
	return path, glob.String(), nil
}

// needsURL says whether a name would be read as something else in a list.
func needsURL(name string) bool {
	return strings.ContainsAny(name, ",*?[\\%") || strings.TrimSpace(name) != name || name == "-" || name == "stdin" || name == "stdin:" ||
		strings.HasPrefix(name, "file:") || scheme.MatchString(name) || !utf8.ValidString(name) || strings.ContainsFunc(name, isControl)
}

func isControl(r rune) bool { return r < 0x20 || r == 0x7f }

// escape writes a name so that it stands for itself in a file: URL.
func escape(name string) string {
	var b strings.Builder
	for i := range len(name) {
		switch c := name[i]; {
		case c <= 0x20 || c >= 0x7f || strings.IndexByte(",*?[\\%", c) >= 0:
			fmt.Fprintf(&b, "%%%02X", c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// cause is what the system says, without the path that the text names already.
func cause(err error) error {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		return path.Err
	}
	return err
}

// examine looks at the file: is it there, can it be read, how large is it, is
// it compressed, and how are its objects written, which found notes? A stream is
// not opened, as that would take from it.
func (f *file) examine(found *formats) (compressed bool, err error) {
	if f.stdin != nil {
		return false, nil
	}
	refuse := func(err error) (bool, error) {
		return false, fmt.Errorf("%w %q: %w", ErrSettings, f.name, err)
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
	if kind == unknown {
		return refuse(unsupported(name))
	}
	if f.format == chunk.Auto {
		guess, err := look(disk)
		if err != nil {
			return refuse(err)
		}
		found.add(guess, f.word())
	}
	return kind != plain, nil
}

// look says how the objects of a file are written. Whoever reads the file will
// say what else is wrong with it, and where.
func look(disk *os.File) (chunk.Guess, error) {
	if _, err := disk.Seek(0, io.SeekStart); err != nil {
		return chunk.Nothing, cause(err)
	}
	content, err := decode(disk)
	if err != nil {
		return chunk.Nothing, nil // see above
	}
	defer func() { _ = content.Close() }() // it was only read
	guess, err := chunk.Look(content)
	if _, ok := errors.AsType[*chunk.InputError](err); ok {
		return chunk.Nothing, err
	}
	return guess, nil
}
