package source

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// glob returns the files that match a pattern, sorted by name, as shells do. A name that begins with a dot is matched
// only by a part of the pattern that begins with one, and the part "**" matches any number of folders. "**" does not
// follow symbolic links, so that the search ends. Folders that match are skipped. A folder that cannot be read is an
// error, because files in it may match.
func glob(pattern string) ([]string, error) {
	if _, err := filepath.Match(pattern, ""); err != nil {
		return nil, err
	}
	root, rest := "", pattern
	if strings.HasPrefix(pattern, "/") {
		root, rest = "/", strings.TrimLeft(pattern, "/")
	}
	g := globber{found: make(map[string]bool)}
	parts := slices.DeleteFunc(strings.Split(rest, "/"), func(part string) bool { return part == "" })
	if strings.HasSuffix(pattern, "/") || len(parts) == 0 {
		return nil, nil // only folders match
	}
	if err := g.match(root, parts); err != nil {
		return nil, err
	}
	return slices.Sorted(maps.Keys(g.found)), nil
}

// globber collects the matching files.
type globber struct {
	found map[string]bool // by cleaned name
}

// match finds the files that match parts in dir; "" is the working directory.
func (g *globber) match(dir string, parts []string) error {
	part, rest := parts[0], parts[1:]
	switch {
	case part == "**":
		return g.matchDeep(dir, rest)
	case !strings.ContainsAny(part, `*?[\`):
		return g.enter(filepath.Join(dir, part), rest)
	}
	entries, err := readDir(dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if isHidden(entry.Name()) && !strings.HasPrefix(strings.TrimPrefix(part, `\`), ".") {
			continue
		}
		matches, err := filepath.Match(part, entry.Name())
		if err != nil {
			return err
		}
		if !matches {
			continue
		}
		if err := g.enter(filepath.Join(dir, entry.Name()), rest); err != nil {
			return err
		}
	}
	return nil
}

// matchDeep is match after "**".
func (g *globber) matchDeep(dir string, rest []string) error {
	for len(rest) > 0 && rest[0] == "**" {
		rest = rest[1:]
	}
	if len(rest) == 0 {
		rest = []string{"*"} // every file below
	}
	if err := g.match(dir, rest); err != nil {
		return err
	}
	entries, err := readDir(dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if !entry.IsDir() || isHidden(entry.Name()) {
			continue
		}
		if err := g.matchDeep(filepath.Join(dir, entry.Name()), rest); err != nil {
			return err
		}
	}
	return nil
}

// enter continues with the rest of the pattern at name, which matches so far.
func (g *globber) enter(name string, rest []string) error {
	if len(rest) > 0 {
		return g.match(name, rest)
	}
	if _, err := os.Lstat(name); isAbsent(err) {
		return nil // does not match
	}
	info, err := os.Stat(name)
	if err != nil || !info.IsDir() { // an error is reported when the file is examined
		g.found[filepath.Clean(name)] = true
	}
	return nil
}

// readDir returns the entries of a folder, and none if it does not exist.
func readDir(dir string) ([]os.DirEntry, error) {
	if dir == "" {
		dir = "."
	}
	entries, err := os.ReadDir(dir)
	if isAbsent(err) {
		return nil, nil
	}
	return entries, err
}

// isAbsent reports whether a name, or a folder on the way to it, does not exist.
func isAbsent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ELOOP)
}

func isHidden(name string) bool { return strings.HasPrefix(name, ".") }
