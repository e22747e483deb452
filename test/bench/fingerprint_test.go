//go:build bench

package bench

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"hash/maphash"
	"io"
	"os"
)

// fingerprint tells whether two files are equal, or have the same lines in any order.
type fingerprint struct {
	lines   int
	content [sha256.Size]byte // of everything, in order
	sum     uint64            // of a hash of each line: the same in any order
}

// lineSeed is valid only in this process, which computes all fingerprints.
var lineSeed = maphash.MakeSeed()

// taker computes a fingerprint line by line.
type taker struct {
	lines   int
	content hash.Hash
	sum     uint64
}

func newTaker() *taker { return &taker{content: sha256.New()} }

func (t *taker) take(line []byte) {
	t.lines++
	t.content.Write(line)
	t.sum += maphash.Bytes(lineSeed, line)
}

func (t *taker) done() fingerprint {
	f := fingerprint{lines: t.lines, sum: t.sum}
	t.content.Sum(f.content[:0])
	return f
}

func fingerprintOf(path string) (fingerprint, error) {
	t := newTaker()
	err := eachLine(path, func(line []byte) error { t.take(line); return nil })
	if err != nil {
		return fingerprint{}, fmt.Errorf("read result: %w", err)
	}
	return t.done(), nil
}

// eachLine calls do with every line of a file, its line break included.
func eachLine(path string, do func(line []byte) error) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	in := bufio.NewReaderSize(file, 64<<10)
	for {
		line, err := in.ReadSlice('\n')
		if len(line) > 0 {
			if err := do(line); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// check compares a result's fingerprint with f, the expected one.
func (f fingerprint) check(got fingerprint, ordered bool) error {
	switch {
	case got.lines != f.lines:
		return fmt.Errorf("it has %d lines, want %d", got.lines, f.lines)
	case got.sum != f.sum:
		return errors.New("it has other lines than the transform of the input")
	case ordered && got.content != f.content:
		return errors.New("its lines are right, but not in the order of the input")
	}
	return nil
}
