package sink

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
)

// A log is a sequence of part files that are only appended to, a commit at a
// time. A commit lies in one part and goes through it like this:
//
//	write ──▶ sync ──▶ settle
//	  └──▶ undo: back to the end of the commit before
//
// Invariant, between commits: every part ends where parts says, and all of it is
// durable. So a later commit, or a later part, proves that what is before it was
// synced: recovery tells damage from a commit that was never finished by that.
type log struct {
	fs    fileSystem
	dir   string
	limit int64 // bytes; a part that has as many is followed by the next

	parts []int64 // the end of each part; commits go to the last one
	mark

	file file // the last part, if it is open for writing
	made bool // it was made, and its name is not durable yet
	buf  []byte

	// The commit that is being written: where it ends, and what is the mark then.
	end  int64
	next mark
}

// A mark is the end of a commit.
type mark struct {
	Commit uint64   `json:"commit"` // its number, from 1
	Sum    uint32   `json:"sum"`    // the checksum of its last frame
	Newest position `json:"newest"` // where that frame is
}

// bufferSize is how much is collected for one write, in bytes. Bodies of half of
// it and more are written from where they are.
const bufferSize = 512 << 10

const (
	firstPart = "log-00000"
	// newPart is the first part until its first commit is durable; then it is renamed.
	newPart = "log-00000.new"
)

var partName = regexp.MustCompile(`^log-([0-9]{5,})$`)

func (l *log) path(part int) string { return filepath.Join(l.dir, fmt.Sprintf("log-%05d", part)) }

// write appends frames as one commit, and says in each where it is. They are
// durable only after sync.
func (l *log) write(frames []frame) error {
	if err := l.open(); err != nil {
		return err
	}
	part := len(l.parts) - 1
	l.end = l.parts[part]
	l.next = mark{Commit: l.Commit + 1, Sum: l.Sum}
	for i := range frames {
		fr := &frames[i]
		if l.end >= 1<<offsetBits {
			return fmt.Errorf("commit of more than %d bytes: %w", l.end-l.parts[part], ErrInvalid)
		}
		fr.part, fr.at = part, l.end
		from := len(l.buf)
		var err error
		if l.buf, l.next.Sum, err = fr.append(l.buf, l.next.Commit, i == len(frames)-1, l.next.Sum); err != nil {
			return err
		}
		l.end += int64(len(l.buf) - from)
		fr.record.place(part, l.end)
		l.next.Newest = fr.position()
		if err := l.add(fr.outputs); err != nil {
			return err
		}
		if err := l.add(fr.dead); err != nil {
			return err
		}
	}
	return l.flush()
}

// add writes a body, or collects it.
func (l *log) add(body []byte) error {
	if len(l.buf)+len(body) > bufferSize {
		if err := l.flush(); err != nil {
			return err
		}
	}
	at := l.end
	l.end += int64(len(body))
	if len(body) < bufferSize/2 {
		l.buf = append(l.buf, body...)
		return nil
	}
	if err := l.flushTo(at); err != nil {
		return err
	}
	return l.put(body, at)
}

// flush writes what was collected; it ends where the commit does.
func (l *log) flush() error { return l.flushTo(l.end) }

func (l *log) flushTo(end int64) error {
	if len(l.buf) == 0 {
		return nil
	}
	err := l.put(l.buf, end-int64(len(l.buf)))
	l.buf = l.buf[:0]
	return err
}

func (l *log) put(b []byte, at int64) error {
	if err := writeFull(l.file, b, at); err != nil {
		return fmt.Errorf("write log: %w", err)
	}
	return nil
}

// open sees to it that the last part is open, and is not full.
func (l *log) open() error {
	last := len(l.parts) - 1
	if l.parts[last] >= l.limit {
		return l.roll()
	}
	if l.file != nil {
		return nil
	}
	f, err := l.fs.OpenFile(l.path(last), os.O_RDWR)
	if err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	l.file = f
	return nil
}

// roll makes the next part.
func (l *log) roll() error {
	if len(l.parts) == 1<<partBits {
		return fmt.Errorf("log has %d parts, and no more are possible", len(l.parts))
	}
	f, err := l.fs.OpenFile(l.path(len(l.parts)), os.O_RDWR|os.O_CREATE|os.O_EXCL)
	if err != nil {
		return fmt.Errorf("create part of log: %w", err)
	}
	old := l.file
	l.parts, l.file, l.made = append(l.parts, 0), f, true
	if old == nil {
		return nil
	}
	return old.Close()
}

// sync makes the commit durable, and the name of a new part. What it returns is
// final: a failed sync is never repeated, for the kernel may have dropped the pages
// and will say yes the second time.
func (l *log) sync() error {
	if err := l.file.Sync(); err != nil {
		return fmt.Errorf("sync log: %w", err)
	}
	if !l.made {
		return nil
	}
	if err := l.fs.SyncDir(l.dir); err != nil {
		return fmt.Errorf("sync folder: %w", err)
	}
	l.made = false
	return nil
}

// settle ends a commit that is durable.
func (l *log) settle() {
	l.parts[len(l.parts)-1] = l.end
	l.mark = l.next
}

// undo ends a commit that is not to be. It uses a fresh descriptor, since the old
// one has just failed.
func (l *log) undo() error {
	l.buf = l.buf[:0]
	if l.file == nil { // nothing was written
		return nil
	}
	err := l.file.Close()
	l.file = nil
	last := len(l.parts) - 1
	return errors.Join(err, l.cut(last, l.parts[last]))
}

// cut takes off what lies behind the end of a part, for good: a tail that came
// back after a power cut, with another part behind it by then, would be damage.
func (l *log) cut(part int, end int64) error {
	f, err := l.fs.OpenFile(l.path(part), os.O_RDWR)
	if err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	if err := f.Truncate(end); err != nil {
		return errors.Join(fmt.Errorf("cut log back to %d bytes: %w", end, err), f.Close())
	}
	if err := f.Sync(); err != nil {
		return errors.Join(fmt.Errorf("%w of log: %w", errSync, err), f.Close())
	}
	return f.Close()
}

// rewrite makes durable what was read of the last part from a byte on, before
// anybody is told of it. A process that was killed, or whose sync failed, may have
// left it in memory only, and after a failed sync the kernel takes it for durable:
// so the bytes are written once more, as they are.
func (l *log) rewrite(from int64) error {
	last := len(l.parts) - 1
	f, err := l.fs.OpenFile(l.path(last), os.O_RDWR)
	if err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	b := make([]byte, min(bufferSize, l.parts[last]-from))
	for at := from; at < l.parts[last]; {
		b = b[:min(int64(len(b)), l.parts[last]-at)]
		if _, err := f.ReadAt(b, at); err != nil {
			return errors.Join(fmt.Errorf("read log: %w", err), f.Close())
		}
		if err := writeFull(f, b, at); err != nil {
			return errors.Join(fmt.Errorf("write log: %w", err), f.Close())
		}
		at += int64(len(b))
	}
	if err := f.Sync(); err != nil {
		return errors.Join(fmt.Errorf("%w of log: %w", errSync, err), f.Close())
	}
	return f.Close()
}

// close closes what is open.
func (l *log) close() error {
	if l.file == nil {
		return nil
	}
	err := l.file.Close()
	l.file = nil
	return err
}
