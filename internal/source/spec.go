package source

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/chunkline/chunkline/internal/webservice"
)

// howTo is the end of errors about an item that names no file.
const howTo = `give a file, a glob such as "data/*.jsonl", "-" for standard input, s3://BUCKET/KEY, gs://BUCKET/KEY or azblob://CONTAINER/KEY for an object, "cmd:PROGRAM" for the output of a command, https://HOST/PATH for an API, or sqlite:FILE?query=…&key=… for a database`

// A file is one stream of a source.
type file struct {
	name    string // cleaned, as given
	format  Format
	regular bool    // can be opened again and read from any offset
	size    int64   // bytes; 0 if not regular
	stream  stream  // the stream behind the file, if it cannot be read again; nil for a named file
	inode   inode   // zero for a stream and an object
	object  *object // the object in a bucket; nil for other files
}

// label names the file in the plan, in the syntax of a source: opening the label opens the same file.
func (f *file) label() string {
	_, isCommand := f.stream.(*command)
	switch {
	case f.object != nil && f.format.text != "":
		return f.word() + "?etag=" + escapeOption(f.object.version) + "&format=" + f.format.text
	case f.object != nil:
		return f.word() + "?etag=" + escapeOption(f.object.version)
	case f.format.text == "":
		return f.word()
	case isCommand:
		return "cmd?format=" + strings.ReplaceAll(f.format.text, ":", "%3A") + strings.TrimPrefix(f.name, "cmd")
	}
	return f.word() + "?format=" + f.format.text
}

// word names the file for an operator, without its format.
func (f *file) word() string {
	switch {
	case f.object != nil:
		return f.object.name()
	case f.stream != nil:
		return f.name
	case needsURL(f.name):
		return "file:" + escape(f.name)
	}
	return f.name
}

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

// expand turns a source into its files. It only checks that they exist. Items without a format have the format of the
// job.
func expand(o Options, spec string) ([]file, error) {
	if list, err := expandStream(o, spec); list != nil || err != nil {
		return list, err
	}
	own := newWritten(o.Written)
	var list []file
	items := strings.Split(spec, ",")
	for _, item := range items {
		word, options := CutOptions(strings.TrimSpace(item))
		isStdin := word == "-" || word == "stdin:"
		switch {
		case word == "" && len(items) == 1:
			return nil, fmt.Errorf("%w: the source is empty; %s", ErrSettings, howTo)
		case word == "":
			return nil, wrong(spec, errors.New("an item of the list is empty"))
		case isStdin && len(items) > 1:
			return nil, wrong(spec, errors.New("standard input must be the only item"))
		case isStdin && o.Stdin == nil && !o.Replay:
			return nil, wrong(spec, errors.New("there is no standard input here"))
		case isStdin:
			format, err := formatOf("", options, o.Format)
			if err != nil {
				return nil, wrong(word, err)
			}
			return []file{{name: "stdin", format: format, stream: stdin{o.Stdin}}}, nil
		case IsStream(word):
			return nil, fmt.Errorf("%w: a command, an API or a query must be the only item, so that all of its text belongs to it", ErrSettings)
		}
		found, options, err := expandItem(o, word, options, own)
		if err != nil {
			return nil, wrong(word, err)
		}
		for _, f := range found {
			if f.format, err = formatOf(f.name, options, o.Format); err != nil {
				return nil, fmt.Errorf("%w %q: %w", ErrSettings, f.name, err)
			}
			list = append(list, f)
		}
	}
	return list, nil
}

// wrong is the error for an item, or for the whole source.
func wrong(item string, err error) error {
	return fmt.Errorf("%w %q: %w", ErrSettings, webservice.WithoutPassword(item), err)
}

// expandItem returns the files and objects of an item, and the remaining options, which describe their format.
func expandItem(o Options, word, options string, own written) (found []file, format string, err error) {
	if !IsObject(word) {
		names, err := expandNames(word, own)
		for _, name := range names {
			found = append(found, file{name: name})
		}
		return found, options, err
	}
	version, options, err := etagOption(options)
	if err != nil {
		return nil, "", err
	}
	objects, err := o.buckets.expand(context.Background(), word, version)
	for _, one := range objects {
		found = append(found, file{name: one.key, object: one})
	}
	return found, options, err
}

// expandNames returns the cleaned names of the files of an item.
func expandNames(word string, own written) ([]string, error) {
	path, pattern := word, word
	if rest, ok := strings.CutPrefix(word, "file:"); ok {
		var err error
		if path, pattern, err = fromURL(rest); err != nil {
			return nil, err
		}
		if strings.HasSuffix(rest, "/") { // all files below the folder
			path, pattern = path+"**", cmp.Or(pattern, literal(path))+"**"
		}
	} else if other := scheme.FindStringSubmatch(word); other != nil {
		return nil, fmt.Errorf("there is no source %s:; %s", other[1], howTo)
	}
	if _, err := os.Lstat(path); err == nil { // even if it looks like a glob
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
		return nil, fmt.Errorf("%w: a glob consists of *, **, ? and [a-z]", err)
	case err != nil:
		return nil, fmt.Errorf("read the folders of the glob: %w; they must be readable for this user", err)
	case len(names) == 0 && found > 0:
		return nil, fmt.Errorf("the glob matches only files that the job itself writes; %s", howTo)
	case len(names) == 0:
		hint := howTo
		if option := looksLikeOption.FindStringSubmatch(word); option != nil {
			hint = fmt.Sprintf("there is no option %q: use %s", option[1], strings.Join(optionKeys, ", "))
		}
		return nil, fmt.Errorf("the glob matches no file; %s", hint)
	}
	return names, nil
}

// fromURL returns the path in the rest of a file: URL, and the same path as a glob pattern in which percent-encoded
// characters are literal. The pattern is empty if the URL has no wildcard.
func fromURL(rest string) (path, pattern string, err error) {
	if host, ok := strings.CutPrefix(rest, "//"); ok {
		host, local, _ := strings.Cut(host, "/")
		if host != "" && host != "localhost" {
			return "", "", fmt.Errorf("a file: URL names a file on this machine, as in file:///data/users.jsonl, not on %q", host[strings.LastIndexByte(host, '@')+1:])
		}
		rest = "/" + local
	}
	if path, pattern, err = decodePattern(rest); err == nil && path == "" {
		err = errors.New("the URL has no path")
	}
	return path, pattern, err
}

// decodePattern decodes the path of a URL for fromURL.
func decodePattern(rest string) (path, pattern string, err error) {
	if strings.Contains(rest, "?") {
		return "", "", errors.New(`in a URL write "?" as %3F`)
	}
	if path, err = url.PathUnescape(rest); err != nil {
		return "", "", fmt.Errorf(`%w; write "%%" itself as %%25`, err)
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
		plain, _ := url.PathUnescape(rest[i : i+3]) // PathUnescape has checked it above
		if strings.ContainsAny(plain, `*?[\`) {
			glob.WriteByte('\\')
		}
		glob.WriteString(plain)
		i += 2
	}
	return path, glob.String(), nil
}

// literal returns a pattern that matches only path.
func literal(path string) string {
	return strings.NewReplacer("*", `\*`, "?", `\?`, "[", `\[`, `\`, `\\`).Replace(path)
}

// needsURL reports whether a list would misread a name that is not a URL.
func needsURL(name string) bool {
	return strings.ContainsAny(name, ",*?[\\%") || strings.TrimSpace(name) != name || name == "-" || name == "stdin" || name == "stdin:" ||
		strings.HasPrefix(name, "file:") || isCommand(name) || scheme.MatchString(name) || !utf8.ValidString(name) || strings.ContainsFunc(name, isControl)
}

func isControl(r rune) bool { return r < 0x20 || r == 0x7f }

// escape encodes a name for a file: URL.
func escape(name string) string { return percentEncode(name, ",*?[\\%") }

// percentEncode encodes blanks, control characters, bytes that are not ASCII, and the special characters.
func percentEncode(text, special string) string {
	var b strings.Builder
	for i := range len(text) {
		switch c := text[i]; {
		case c <= 0x20 || c >= 0x7f || strings.IndexByte(special, c) >= 0:
			fmt.Fprintf(&b, "%%%02X", c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// cause drops the path from a system error, because the message already contains it.
func cause(err error) error {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		return path.Err
	}
	return err
}

// errWritten means that an input is a file that the job itself writes.
var errWritten = errors.New("the job itself writes this file: choose another output, or another input")

// written are the paths that the job itself writes: files, the temporary files beside them (NAME.new-…), and folders.
type written []ownPath

// ownPath is one path that the job writes.
type ownPath struct {
	path string      // absolute, with links resolved as far as the path exists
	info os.FileInfo // nil if it does not exist yet
}

func newWritten(paths []string) written {
	var w written
	for _, path := range paths {
		one := ownPath{path: followed(path)}
		one.info, _ = os.Stat(path) // nil if the path does not exist yet
		w = append(w, one)
	}
	return w
}

// has reports whether a file is one of these paths, under any of its names, or lies inside one.
func (w written) has(name string) bool {
	if len(w) == 0 {
		return false
	}
	path := followed(name)
	info, err := os.Stat(name)
	return slices.ContainsFunc(w, func(one ownPath) bool {
		return path == one.path || strings.HasPrefix(path, one.path+string(filepath.Separator)) || strings.HasPrefix(path, one.path+".new-") ||
			err == nil && one.info != nil && os.SameFile(info, one.info)
	})
}

// without removes the files that the job writes from the files of a glob.
func (w written) without(names []string) []string { return slices.DeleteFunc(names, w.has) }

// followed returns the absolute path with symbolic links resolved, or the unresolved path if that fails.
func followed(path string) string {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return path
	}
	if whole, err := filepath.EvalSymlinks(absolute); err == nil {
		return whole
	}
	if dir, err := filepath.EvalSymlinks(filepath.Dir(absolute)); err == nil {
		return filepath.Join(dir, filepath.Base(absolute))
	}
	return absolute
}
