package source

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"
)

// A spool is a file to which a stream is written in portions. Each portion is synced to disk before it is cut, so saved
// results never cover data that the spool lacks.
//
// The file is valid zstd (RFC 8878), so zstdcat prints the stream. It is a sequence of records. A record is a skippable
// frame with a note in JSON and then, if it has data, a frame with the portion. The first note names the source; the
// last one marks the end of the stream. A crash leaves at most the last record incomplete, and the next run truncates
// it.
type spool struct {
	file *os.File
	size int64           // of all complete records
	data int64           // bytes of the stream in them
	next json.RawMessage // of the last portion
	done bool            // the stream has ended

	encoder *zstd.Encoder
	record  []byte
}

// note is the metadata of a record.
type note struct {
	Source string          `json:"source,omitempty"` // in the first record: the label of the stream
	Frame  int             `json:"frame,omitempty"`  // bytes of the frame of data that follows
	Data   int64           `json:"data,omitempty"`   // bytes in it
	Next   json.RawMessage `json:"next,omitempty"`   // where the stream continues after it
	Done   bool            `json:"done,omitempty"`   // in the last record
}

const (
	// noteMagic begins the skippable frame of a note. The other 15 magic numbers for skippable frames are not used.
	noteMagic = 0x184D2A5C

	noteHeader = 12      // magic, size, and CRC-32C of the note's JSON and the frame of data
	maxNote    = 1 << 20 // bytes of a note
	maxFrame   = 1 << 28 // bytes of a frame; a portion may be a page of an API
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var (
	errTorn      = errors.New("the record is not complete")
	errSpoolLost = errors.New("the spool is damaged; restore it from a backup, or remove it together with the output to start over")
)

// openSpool opens or creates the spool of a source. With readOnly the spool must be complete.
func openSpool(path, source string, readOnly bool) (_ *spool, err error) {
	flags := os.O_RDWR | os.O_CREATE
	if readOnly {
		flags = os.O_RDONLY
	}
	file, err := os.OpenFile(path, flags, 0o644) //nolint:gosec // the umask restricts who may read the data, as it does for results
	if readOnly && errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("open spool %s: %w: no run of this job has written it", path, err)
	}
	if err != nil {
		return nil, fmt.Errorf("open spool: %w", err)
	}
	s := &spool{file: file}
	defer func() {
		if err != nil {
			err = fmt.Errorf("open spool %s: %w", path, errors.Join(err, s.close()))
		}
	}()
	if !readOnly {
		switch err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); {
		case errors.Is(err, unix.EWOULDBLOCK):
			return nil, errors.New("another process has it open")
		case err != nil:
			return nil, fmt.Errorf("lock it: %w: file locks must work there, so use a local disk and no network file system", err)
		}
	}
	if err := s.scan(source); err != nil {
		return nil, err
	}
	switch {
	case readOnly && !s.done:
		return nil, errors.New("no run has read the whole stream yet")
	case readOnly:
		return s, nil
	}
	return s, s.prepare(source)
}

// prepare makes the spool ready for writing: it truncates everything after the complete records.
func (s *spool) prepare(source string) (err error) {
	s.encoder, err = zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err != nil {
		return err
	}
	if err := s.file.Truncate(s.size); err != nil {
		return err
	}
	if s.size > 0 {
		return nil
	}
	return s.first(source)
}

// clear removes all records after the first.
func (s *spool) clear(source string) error {
	if s.data == 0 {
		return nil
	}
	if err := s.file.Truncate(0); err != nil {
		return err
	}
	s.size, s.data, s.next = 0, 0, nil
	return s.first(source)
}

// first writes the first record.
func (s *spool) first(source string) error {
	if err := s.write(note{Source: source}, nil); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(s.file.Name()))
}

func syncFolder(dir string) error {
	folder, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// scan reads the records and finds the end of the last complete one.
func (s *spool) scan(source string) error {
	info, err := s.file.Stat()
	if err != nil {
		return err
	}
	for s.size < info.Size() {
		n, length, err := readRecord(io.NewSectionReader(s.file, s.size, info.Size()-s.size))
		switch {
		case errors.Is(err, errTorn):
			return s.checkTail(info.Size())
		case err != nil:
			return err
		case s.done:
			return fmt.Errorf("%w: something follows its end at byte %d", errSpoolLost, s.size)
		case s.size == 0 && n.Source != source:
			return fmt.Errorf("it holds %q, and the source is %q; remove it, or choose another place", n.Source, source)
		}
		s.size += length
		s.data += n.Data
		s.done = n.Done
		if n.Frame > 0 {
			s.next = n.Next
		}
	}
	return nil
}

// readRecord reads and checks one record. It returns errTorn if the record is incomplete.
func readRecord(r io.Reader) (n note, length int64, err error) {
	read := func(b []byte) error {
		_, err := io.ReadFull(r, b)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return errTorn
		}
		return err
	}
	var header [noteHeader]byte
	if err := read(header[:]); err != nil {
		return note{}, 0, err
	}
	size := binary.LittleEndian.Uint32(header[4:]) - 4 // without the checksum
	if binary.LittleEndian.Uint32(header[:]) != noteMagic || size > maxNote {
		return note{}, 0, errTorn
	}
	text := make([]byte, size)
	if err := read(text); err != nil {
		return note{}, 0, err
	}
	if json.Unmarshal(text, &n) != nil || n.Frame < 0 || n.Frame > maxFrame {
		return note{}, 0, errTorn
	}
	frame := make([]byte, n.Frame)
	if err := read(frame); err != nil {
		return note{}, 0, err
	}
	if crc32.Update(crc32.Checksum(text, castagnoli), castagnoli, frame) != binary.LittleEndian.Uint32(header[8:]) {
		return note{}, 0, errTorn
	}
	return n, int64(len(header) + len(text) + len(frame)), nil
}

// checkTail returns an error unless the bytes after the complete records may be one record that a crash has cut off. If
// a whole record follows, bytes were damaged.
func (s *spool) checkTail(size int64) error {
	damaged := fmt.Errorf("%w: the record at byte %d", errSpoolLost, s.size)
	if size-s.size > noteHeader+maxNote+maxFrame {
		return damaged
	}
	rest := make([]byte, size-s.size)
	if _, err := s.file.ReadAt(rest, s.size); err != nil {
		return err
	}
	magic := binary.LittleEndian.AppendUint32(nil, noteMagic)
	for at := 1; at < len(rest); at++ {
		i := bytes.Index(rest[at:], magic)
		if i < 0 {
			return nil
		}
		at += i
		if _, _, err := readRecord(bytes.NewReader(rest[at:])); err == nil {
			return damaged
		}
	}
	return nil
}

// append writes a portion.
func (s *spool) append(p portion) error {
	frame := s.encoder.EncodeAll(p.data, nil)
	if err := s.write(note{Frame: len(frame), Data: int64(len(p.data)), Next: p.next}, frame); err != nil {
		return fmt.Errorf("write spool: %w", err)
	}
	s.data += int64(len(p.data))
	return nil
}

// end records the end of the stream.
func (s *spool) end() error {
	if err := s.write(note{Done: true}, nil); err != nil {
		return fmt.Errorf("write spool: %w", err)
	}
	s.done = true
	return nil
}

// write appends a record, and returns once the record would survive a power cut.
func (s *spool) write(n note, frame []byte) error {
	text, err := json.Marshal(n)
	switch {
	case err != nil:
		return err
	case len(text) > maxNote:
		return fmt.Errorf("a note of %d bytes is too long", len(text))
	}
	b := binary.LittleEndian.AppendUint32(s.record[:0], noteMagic)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(text)+4))
	b = binary.LittleEndian.AppendUint32(b, crc32.Update(crc32.Checksum(text, castagnoli), castagnoli, frame))
	s.record = append(append(b, text...), frame...)
	if _, err := s.file.WriteAt(s.record, s.size); err != nil {
		return err
	}
	if err := s.file.Sync(); err != nil {
		return err
	}
	s.size += int64(len(s.record))
	return nil
}

// reader returns the spooled part of the stream.
func (s *spool) reader() (io.ReadCloser, error) {
	// With a concurrency of 1 the decoder starts no goroutines.
	z, err := zstd.NewReader(io.NewSectionReader(s.file, 0, s.size), zstd.WithDecoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	return z.IOReadCloser(), nil
}

func (s *spool) close() error {
	if s.encoder != nil {
		_ = s.encoder.Close() // only EncodeAll was used
	}
	// A child process has the descriptor, and with it the lock, from fork to exec. Unlocking an unlocked file does
	// nothing.
	_ = unix.Flock(int(s.file.Fd()), unix.LOCK_UN)
	return s.file.Close()
}
