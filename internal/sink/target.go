package sink

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/cespare/xxhash/v2"
)

// A fingerprint recognises a file that Finish wrote by what is in it, so that
// it is known again after it was moved, copied or restored from a backup.
type fingerprint struct {
	Bytes uint64 `json:"bytes"`
	Sum   uint64 `json:"xxh64"` // of all bytes
}

// written holds the fingerprints of the ordered files: of those that lie in
// their places, and, from before a file is put into its place until Finish has
// returned, of that one as well. A crash in between leaves one of them.
type written struct {
	Outputs []fingerprint `json:"outputs"`
	Dead    []fingerprint `json:"dead"`
}

// with is a copy that knows another file too.
func with(known []fingerprint, another fingerprint) []fingerprint {
	if slices.Contains(known, another) {
		return known
	}
	return append(slices.Clone(known), another)
}

// configureTarget checks where a file is to be merged, before a job runs for
// hours. What it would replace must be a file: a rename onto /dev/null or a pipe
// would put a file in its place.
func (f *Folder) configureTarget(path, base string) (string, error) {
	if path == "" {
		return filepath.Join(f.dir, base), nil
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("output %s: %w: %w", path, ErrUnreachable, err)
	}
	path = resolve(path) // a link stays, what it points to is replaced
	if f.o.ReadOnly {
		return path, nil
	}
	if err := checkName(path); err != nil {
		return "", err
	}
	parent, base := filepath.Split(path)
	parent = filepath.Clean(parent)
	inside := parent == f.dir
	if path == f.dir || inside && (base == indexName || base == newPart || partName.MatchString(base)) {
		return "", fmt.Errorf("output %s belongs to the sink itself: %w", path, ErrSettings)
	}
	if info, err := f.fs.Stat(parent); !inside && (err != nil || !info.IsDir()) {
		return "", fmt.Errorf("output %s: there is no folder %s: %w", path, parent, ErrUnreachable)
	}
	return path, nil
}

// A ForeignError names a file that the result would replace, but must not. It
// is an ErrForeign.
type ForeignError struct {
	Path    string
	Changed bool // the job wrote the file, and somebody has changed it since
}

func (e *ForeignError) Error() string {
	if e.Changed {
		return fmt.Sprintf("%s was changed after this job wrote it: move it away", e.Path)
	}
	return fmt.Sprintf("%s exists, and this job did not write it: move it away", e.Path)
}

// Is makes it an ErrForeign.
func (e *ForeignError) Is(target error) bool { return target == ErrForeign }

// checkTargets refuses to begin a job whose result would take the place of a
// file that is not the job's.
func (f *Folder) checkTargets(known *written) error {
	if _, err := f.mayReplace(f.o.Output, known.Outputs); err != nil {
		return err
	}
	_, err := f.mayReplace(f.o.DeadFile, known.Dead)
	return err
}

// mayReplace returns an error if a file lies at path that Finish did not write,
// or that was changed since. It returns nil for info if no file is there.
func (f *Folder) mayReplace(path string, known []fingerprint) (info fs.FileInfo, err error) {
	info, err = f.fs.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("output %s is not a file: %w", path, ErrSettings)
	case info.Mode().Perm()&0o222 == 0:
		return nil, fmt.Errorf("output %s is read-only: make it writable, or choose another output: %w", path, ErrSettings)
	case f.o.Force:
		return info, nil
	}
	own, err := f.wrote(path, info, known)
	switch {
	case err != nil:
		return nil, err
	case own:
		return info, nil
	}
	return nil, &ForeignError{Path: path, Changed: len(known) > 0}
}

// wrote says whether a file is as Finish wrote it. It reads the file only if
// one of that size is known.
func (f *Folder) wrote(path string, info fs.FileInfo, known []fingerprint) (bool, error) {
	size := uint64(info.Size())
	if !slices.ContainsFunc(known, func(k fingerprint) bool { return k.Bytes == size }) {
		return false, nil
	}
	in, err := f.fs.OpenFile(path, os.O_RDONLY)
	if err != nil {
		return false, err
	}
	sum := xxhash.New()
	_, err = io.CopyBuffer(sum, io.NewSectionReader(in, 0, info.Size()), make([]byte, readSize))
	if err := errors.Join(err, in.Close()); err != nil {
		return false, fmt.Errorf("read %s: %w", path, err)
	}
	return slices.Contains(known, fingerprint{size, sum.Sum64()}), nil
}

// fresh is where a file is written before it takes its place beside it. Part of
// the job's key is in the name, so that it is no other program's, nor another job's.
func (f *Folder) fresh(path string) string {
	return fmt.Sprintf("%s.new-%x", path, f.Key()[:6])
}

// place puts the new file of o into its place, with the mode and the owner of
// the file that it replaces.
func (f *Folder) place(o *orderedFile) error {
	now, err := f.fs.Stat(o.path)
	if err == nil && !unchanged(o.old, now) { // somebody put a file there meanwhile
		now, err = f.mayReplace(o.path, o.known)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	fresh := f.fresh(o.path)
	if now != nil {
		if err := f.fs.Adopt(fresh, now); err != nil {
			return fmt.Errorf("give the new file mode and owner of the old one: %w", err)
		}
	}
	if err := f.fs.Rename(fresh, o.path); err != nil {
		return err
	}
	return f.syncDir(filepath.Dir(o.path))
}

// unchanged says whether two looks at a path saw the same file with the same content.
func unchanged(a, b fs.FileInfo) bool {
	return a != nil && os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

// adopt gives a file the mode and the owner that info shows.
func adopt(name string, info fs.FileInfo) error {
	mine, err := os.Stat(name)
	if err != nil {
		return err
	}
	want, ok := info.Sys().(*syscall.Stat_t)
	have, also := mine.Sys().(*syscall.Stat_t)
	if ok && also && (want.Uid != have.Uid || want.Gid != have.Gid) {
		if err := os.Chown(name, int(want.Uid), int(want.Gid)); err != nil {
			return err
		}
	}
	return os.Chmod(name, info.Mode().Perm())
}

// relative is a path as the log keeps it, so that the folder and its files
// can move together. On another volume there is no relative one.
func (f *Folder) relative(path string) string {
	if rel, err := filepath.Rel(f.dir, path); err == nil {
		return rel
	}
	return path
}

// removeOwn removes a file that Finish wrote, and leaves any other.
func (f *Folder) removeOwn(path string, known []fingerprint) error {
	info, err := f.fs.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if own, err := f.wrote(path, info, known); err != nil || !own && !f.o.Force {
		return err
	}
	if err := removeIfThere(f.fs, path); err != nil {
		return err
	}
	return f.syncDir(filepath.Dir(path))
}
