package sink

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/chunkline/chunkline/internal/chunk"
)

// FolderOptions are the settings of a folder.
type FolderOptions struct {
	// Output is the file of the ordered outputs; default output.jsonl in the folder. It appears when the job is
	// finished. Its own folder must exist. The end of its name selects the format and the compression; in a table, an
	// object with an output that cannot be a row becomes a dead letter. NoOutput: there is no such file. A folder that
	// was finished without one has NoOutput as its default.
	Output string
	// DeadFile is the file of the ordered dead letters; default dead.jsonl in the folder. It appears when the job is
	// finished, if there are any.
	DeadFile string
	// PartBytes is the size in bytes at which a part of the log is full. Default 1 GiB, at most 4 GiB; there are at
	// most 65,536 parts. A commit is never split, so the last commit of a part may exceed the size.
	PartBytes int64
	// Force lets the ordered files replace files that are not the job's, or that have changed since the job wrote them.
	Force bool
	// ReadOnly is for verify and dead list: nothing on disk is created or changed, and several processes may read at
	// the same time while no saver runs.
	ReadOnly bool
}

// NoOutput is used as the path of the ordered outputs if Finish merges only the dead letters. The outputs are in the
// log, from which Follow writes them.
const NoOutput = "-"

// DefaultPartBytes is the size at which a part of the log is full.
const DefaultPartBytes = 1 << 30

// maxPartBytes leaves the same size again for the last commit of a part.
const maxPartBytes = 1 << (offsetBits - 1)

// OpenFolder opens the folder dir for one job and creates it if it does not exist.
//
// Opening does not read results; each is checked when it is read. Errors are those of Open.
func OpenFolder(dir, job string, o FolderOptions) (*Folder, error) {
	return openFolder(theDisk(), dir, job, o)
}

func openFolder(disk fileSystem, dir, job string, o FolderOptions) (*Folder, error) {
	f := &Folder{fs: disk, o: o, table: NewTable()}
	if err := f.configure(dir, job); err != nil {
		return nil, err
	}
	f.log = &log{fs: disk, dir: f.dir, limit: f.o.PartBytes}
	f.index = newIndex(disk, f.dir)
	f.reader, f.headers = newPartReader(f.log), newPartReader(f.log)
	f.View = ViewOf("sink folder "+f.dir, f)
	f.Base = BaseOf(func() *Claims { return f.state.Load().claims })
	err := f.openLog(job)
	if err == nil {
		err = f.recover(job)
	}
	if err == nil && o.Output == "" && f.finishedWithoutOutput() {
		f.o.Output = NoOutput
	}
	if err == nil && !o.ReadOnly {
		err = f.checkTargets(f.state.Load().written)
	}
	if err != nil {
		return nil, errors.Join(f.explain(err), f.closeFiles())
	}
	return f, nil
}

// finishedWithoutOutput reports whether the last Finish had NoOutput.
func (f *Folder) finishedWithoutOutput() bool {
	done := f.state.Load().finished
	return done != nil && done.Output == ""
}

// explain maps an error of opening to one of the sentinels.
func (f *Folder) explain(err error) error {
	if errors.Is(err, ErrForeign) {
		return err // the folder itself is intact
	}
	for _, known := range []error{ErrSettings, ErrUnreachable, ErrNotSink, ErrLocked, ErrOtherJob, ErrFormat, ErrDamaged, ErrFull} {
		if errors.Is(err, known) {
			return fmt.Errorf("open sink folder %s: %w", f.dir, err)
		}
	}
	class := ErrUnreachable
	if isFull(err) {
		class = ErrFull
	}
	return fmt.Errorf("open sink folder %s: %w: %w", f.dir, class, err)
}

// configure checks the settings and fills in the defaults.
func (f *Folder) configure(dir, job string) error {
	if dir == "" {
		return fmt.Errorf("sink folder is empty: %w", ErrSettings)
	}
	if err := chunk.CheckJob(job); err != nil && (job != "" || !f.o.ReadOnly) {
		return fmt.Errorf("%w: %w", err, ErrSettings)
	}
	if f.o.PartBytes < 0 || f.o.PartBytes > maxPartBytes {
		return fmt.Errorf("part bytes %d: use 1 to %d: %w", f.o.PartBytes, int64(maxPartBytes), ErrSettings)
	}
	if f.o.PartBytes == 0 {
		f.o.PartBytes = DefaultPartBytes
	}
	var err error
	if f.dir, err = filepath.Abs(dir); err != nil {
		return fmt.Errorf("sink folder %s: %w: %w", dir, ErrUnreachable, err)
	}
	f.dir = resolve(f.dir)
	if f.o.Output, err = f.configureTarget(f.o.Output, "output.jsonl", CheckName); err != nil {
		return err
	}
	if f.o.DeadFile, err = f.configureTarget(f.o.DeadFile, "dead.jsonl", checkDeadName); err != nil {
		return err
	}
	if f.o.Output == f.o.DeadFile {
		return fmt.Errorf("outputs and dead letters would both go to %s: %w", f.o.Output, ErrSettings)
	}
	return nil
}

// resolve follows links as far as the path exists.
func resolve(path string) string {
	if followed, err := filepath.EvalSymlinks(path); err == nil {
		return followed
	}
	parent := filepath.Dir(path)
	if parent == path {
		return path
	}
	parent = resolve(parent)
	to, err := os.Readlink(path)
	switch {
	case err != nil:
		return filepath.Join(parent, filepath.Base(path))
	case !filepath.IsAbs(to):
		to = filepath.Join(parent, to)
	}
	if _, err := os.Lstat(to); err == nil { // a dangling or circular link
		return path
	}
	return to
}

// openLog locks the folder's log, or creates folder and log.
func (f *Folder) openLog(job string) error {
	exists, err := f.survey()
	if err != nil {
		return err
	}
	if !exists {
		if err := f.checkTargets(&written{}); err != nil {
			return err
		}
		if err := f.mkdirAll(f.dir); err != nil {
			return err
		}
		if err := f.createLog(job); err != nil && !errors.Is(err, errRaced) {
			return err
		}
	}
	f.locked, err = f.lockFile(f.log.path(0), os.O_RDONLY, f.o.ReadOnly)
	return err
}

// lockFile opens a file and takes the folder's lock on it.
func (f *Folder) lockFile(path string, flag int, shared bool) (file, error) {
	opened, err := f.fs.OpenFile(path, flag)
	if err != nil {
		return nil, err
	}
	if err := lock(opened, path, shared); err != nil {
		return nil, errors.Join(err, opened.Close())
	}
	return opened, nil
}

var errRaced = errors.New("another process made the log meanwhile")

// createLog creates a new log, and renames it into place only when its first commit is durable. errRaced means that
// another process was faster.
func (f *Folder) createLog(job string) error {
	fresh, final := filepath.Join(f.dir, newPart), f.log.path(0)
	made, err := f.lockFile(fresh, os.O_RDWR|os.O_CREATE, false)
	if err != nil {
		return err
	}
	err = f.firstCommit(made, fresh, job)
	if err == nil {
		err = f.fs.Rename(fresh, final)
	}
	return errors.Join(err, unlock(made), made.Close())
}

func (f *Folder) firstCommit(made file, fresh, job string) error {
	// If another process has created the log first, it renamed this file into place, or this file was created after its
	// rename.
	if _, err := f.fs.Stat(f.log.path(0)); err == nil {
		return errors.Join(errRaced, f.fs.Remove(fresh))
	}
	first := frame{kind: claimsKind, claims: &Claims{Format: formatVersion, Job: job, ID: rand.Text()}}
	b, _, err := first.append(nil, 1, true, 0)
	if err == nil {
		err = made.Truncate(0) // remnants of a crashed attempt
	}
	if err == nil {
		err = writeFull(made, b, 0)
	}
	if err != nil {
		return fmt.Errorf("write log: %w", err)
	}
	if err := made.Sync(); err != nil {
		return fmt.Errorf("%w: sync log: %w", ErrUnreachable, err) // also if it is ENOSPC
	}
	return nil
}

// Folders from before the log format are refused.
const (
	oldIndex  = "index.db"
	oldFolder = "its results are in index.db and parts/, as chunkline before 0.2 wrote them: finish the job with that release, or use a new folder"
)

// survey reports whether the folder already is a sink. It refuses a folder that holds other things.
func (f *Folder) survey() (exists bool, err error) {
	entries, err := f.fs.ReadDir(f.dir)
	if errors.Is(err, fs.ErrNotExist) {
		if f.o.ReadOnly {
			return false, fmt.Errorf("there is no such folder: %w", ErrUnreachable)
		}
		return false, nil
	}
	if err != nil {
		return false, err
	}
	foreign, missing := "", false
	for _, e := range entries {
		switch name := e.Name(); {
		case name == firstPart:
			return true, nil
		case name == oldIndex:
			return false, fmt.Errorf("%w: %s", ErrFormat, oldFolder)
		case name == indexName, partName.MatchString(name):
			missing = true
		case name == newPart, name == "lost+found", strings.HasPrefix(name, "."):
			// left by a crash while the log was created, or part of the file system
		default:
			foreign = name
		}
	}
	if missing {
		return false, &DamageError{File: f.log.path(0), Offset: -1, What: "the file is missing, and others of the log are there"}
	}
	if foreign != "" {
		return false, fmt.Errorf("it holds other things (%s): use a new or an empty folder: %w", foreign, ErrNotSink)
	}
	if f.o.ReadOnly {
		return false, fmt.Errorf("it is empty: %w", ErrNotSink)
	}
	return false, nil
}

// mkdirAll creates a folder and its parents, and syncs the parent of each: if the name of a folder is lost, its content
// is lost, too. It also syncs the parents of folders that exist, because a killed process may have just created them.
func (f *Folder) mkdirAll(dir string) error {
	parent := filepath.Dir(dir)
	if parent == dir {
		return nil
	}
	if err := f.mkdirAll(parent); err != nil {
		return err
	}
	if _, err := f.fs.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return f.syncAbove(dir)
	}
	if err := f.fs.Mkdir(dir); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return f.fs.SyncDir(parent)
}

// syncAbove makes the name of an existing folder durable. Its parent may belong to others (only a user who may list a
// folder can sync it) or not support sync at all; in these cases chunkline did not create it.
func (f *Folder) syncAbove(dir string) error {
	err := f.fs.SyncDir(filepath.Dir(dir))
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EINVAL) {
		return nil
	}
	return err
}

// removeIfThere removes a file if it exists.
func removeIfThere(disk fileSystem, path string) error {
	if err := disk.Remove(path); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
