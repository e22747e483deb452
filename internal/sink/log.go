package sink

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
)

// A log is a sequence of append-only part files. A commit lies in one part and goes through these steps:
//
//	write ──▶ sync ──▶ advance
//	  └──▶ undo: back to the end of the commit before
//
// Invariant, between commits: every part ends where parts says, and all of it is durable. So a later commit, or a later
// part, proves that everything before it was synced. That is how recovery distinguishes damage from an unfinished
// commit.
type log struct {
	fs    fileSystem
	dir   string
	limit int64 // bytes; a part that reaches it is followed by the next

	parts []int64 // the end of each part; commits are appended to the last one
	mark

	file file // the last part, if it is open for writing
	made bool // file is new, and its name is not durable yet
	buf  []byte

	// The commit in progress: its end, and the mark after it.
	end  int64
	next mark
}

// A mark is the end of a commit.
type mark struct {
	Commit uint64   `json:"commit"` // its number, from 1
	Sum    uint32   `json:"sum"`    // the checksum of its last frame
	Newest Position `json:"newest"` // position of that frame
}

// bufferSize is how many bytes are collected for one write. Bodies of at least half of it are written directly.
const bufferSize = 512 << 10

const (
	firstPart = "log-00000"
	// newPart is the name of the first part until its first commit is durable.
	newPart = "log-00000.new"
)

var partName = regexp.MustCompile(`^log-([0-9]{5,})$`)

func (l *log) path(part int) string { return filepath.Join(l.dir, fmt.Sprintf("log-%05d", part)) }

// write appends frames as one commit, and sets the position of each. They are durable only after sync.
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

// add writes a body, or buffers it.
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

// flush writes the buffer, up to the end of the commit.
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

// open makes sure that the last part is open and not full.
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

// roll creates the next part.
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

// sync makes the commit durable, and the name of a new part. Its error is final: a failed sync is never retried,
// because the kernel may have dropped the pages and would report success the second time.
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

// advance moves the end of the log past a durable commit.
func (l *log) advance() {
	l.parts[len(l.parts)-1] = l.end
	l.mark = l.next
}

// undo discards a commit. It uses a fresh descriptor, because the old one has just failed.
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

// cut truncates a part at end and makes that durable: a tail that reappeared after a power cut, when another part
// follows, would count as damage.
func (l *log) cut(part int, end int64) error {
	return l.mend(part, func(f file) error {
		if err := f.Truncate(end); err != nil {
			return fmt.Errorf("cut log back to %d bytes: %w", end, err)
		}
		return nil
	})
}

// rewrite makes the last part durable from a byte on, before anyone sees the data. A process that was killed, or whose
// sync failed, may have left it in the page cache only, and after a failed sync the kernel considers it written. So the
// same bytes are written again.
func (l *log) rewrite(from int64) error {
	last := len(l.parts) - 1
	return l.mend(last, func(f file) error {
		b := make([]byte, min(bufferSize, l.parts[last]-from))
		for at := from; at < l.parts[last]; at += int64(len(b)) {
			b = b[:min(int64(len(b)), l.parts[last]-at)]
			if _, err := f.ReadAt(b, at); err != nil {
				return fmt.Errorf("read log: %w", err)
			}
			if err := writeFull(f, b, at); err != nil {
				return fmt.Errorf("write log: %w", err)
			}
		}
		return nil
	})
}

// mend changes a part and makes that durable.
func (l *log) mend(part int, change func(file) error) error {
	f, err := l.fs.OpenFile(l.path(part), os.O_RDWR)
	if err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	if err = change(f); err == nil {
		if err = f.Sync(); err != nil {
			err = fmt.Errorf("%w of log: %w", errSync, err)
		}
	}
	return errors.Join(err, f.Close())
}

// close closes the open file.
func (l *log) close() error {
	if l.file == nil {
		return nil
	}
	err := l.file.Close()
	l.file = nil
	return err
}
