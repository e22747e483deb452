package source

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// errWritten refuses to read what the job itself writes.
var errWritten = errors.New("the job itself writes there: choose another output, or another input")

// written is what the job itself writes: files, what is made beside them before it takes
// their place (NAME.new-…), and folders.
type written []ownPath

// ownPath is one of them.
type ownPath struct {
	path string      // absolute, links followed as far as it exists
	info os.FileInfo // nil if it is not there yet
}

func newWritten(paths []string) written {
	var w written
	for _, path := range paths {
		one := ownPath{path: followed(path)}
		one.info, _ = os.Stat(path) // nil: nothing is there that could be read
		w = append(w, one)
	}
	return w
}

// has says whether a file is one of them, by any of its names, or lies below one.
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

// without leaves out of the files of a glob what the job writes.
func (w written) without(names []string) []string { return slices.DeleteFunc(names, w.has) }

// followed is a path without links, or as it is given if it cannot be followed.
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
