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

// A fingerprint identifies the content of a file that Finish wrote, so that the file is recognised after it was moved,
// copied or restored from a backup.
type fingerprint struct {
	Bytes uint64 `json:"bytes"`
	Sum   uint64 `json:"xxh64"` // of all bytes
}

// written holds the fingerprints of the ordered files: of those in place and, from before a new file is renamed into
// place until Finish has returned, of the new file, too. A crash in between leaves one of them.
type written struct {
	Outputs []fingerprint `json:"outputs"`
	Dead    []fingerprint `json:"dead"`
}

// with returns known and another, without duplicates.
func with(known []fingerprint, another fingerprint) []fingerprint {
	if slices.Contains(known, another) {
		return known
	}
	return append(slices.Clone(known), another)
}

// configureTarget checks the path of a merged file before a job runs for hours, and its name with check. An existing
// path must be a regular file: a rename onto /dev/null or a pipe would replace it by a file.
func (f *Folder) configureTarget(path, base string, check func(path string) error) (string, error) {
	switch path {
	case "":
		return filepath.Join(f.dir, base), nil
	case NoOutput:
		return path, nil
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("output %s: %w: %w", path, ErrUnreachable, err)
	}
	path = resolve(path) // a link stays; its target is replaced
	if f.o.ReadOnly {
		return path, nil
	}
	if err := check(path); err != nil {
		return "", err
	}
	parent, base := filepath.Split(path)
	parent = filepath.Clean(parent)
	inside := parent == f.dir
	if path == f.dir || inside && (base == indexName || base == newPart || partName.MatchString(base)) {
		return "", fmt.Errorf("output %s belongs to the sink itself: %w", path, ErrSettings)
	}
	if info, err := f.fs.Stat(parent); !inside && (err != nil || !info.IsDir()) {
		return "", fmt.Errorf("there is no folder %s for the file %s: make the folder first: %w", parent, filepath.Base(path), ErrSettings)
	}
	return path, nil
}

// A ForeignError names a file that the result must not replace. It is an ErrForeign.
type ForeignError struct {
	Path    string
	Changed bool // the job wrote the file, and it has changed since
}

func (e *ForeignError) Error() string {
	if e.Changed {
		return fmt.Sprintf("%s was changed after this job wrote it: move it away", e.Path)
	}
	return fmt.Sprintf("%s exists, and this job did not write it: move it away", e.Path)
}

// Is makes errors.Is(err, ErrForeign) true.
func (e *ForeignError) Is(target error) bool { return target == ErrForeign }

// checkTargets refuses to begin a job whose result would replace a file that is not the job's.
func (f *Folder) checkTargets(known *written) error {
	if f.mergesOutputs() {
		if _, err := f.mayReplace(f.o.Output, known.Outputs); err != nil {
			return err
		}
	}
	_, err := f.mayReplace(f.o.DeadFile, known.Dead)
	return err
}

// mayReplace returns an error if path holds a file that Finish did not write, or that has changed since. info is nil if
// there is no file.
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

// wrote reports whether a file is unchanged since Finish wrote it. It reads the file only if a known one has that size.
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

// fresh returns the temporary path of a new file, beside path. It contains part of the job's key, so no other program
// or job uses it.
func (f *Folder) fresh(path string) string {
	return fmt.Sprintf("%s.new-%x", path, f.Key()[:6])
}

// place renames the new file of o into place, with the mode and the owner of the file that it replaces.
func (f *Folder) place(o *orderedFile) error {
	now, err := f.fs.Stat(o.path)
	if err == nil && !unchanged(o.old, now) { // a file appeared there or changed meanwhile
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

// unchanged reports whether a and b describe the same file with the same content.
func unchanged(a, b fs.FileInfo) bool {
	return a != nil && os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

// adopt gives a file the mode and the owner in info.
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

// relative returns a path as stored in the log: relative, so that the folder and its files can move together, or
// absolute if they are on different volumes.
func (f *Folder) relative(path string) string {
	if rel, err := filepath.Rel(f.dir, path); err == nil {
		return rel
	}
	return path
}

// removeOwn removes a file only if Finish wrote it.
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
