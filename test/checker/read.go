package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"strings"
)

// lines yields the lines of a file that are not blank, trimmed. A line is valid until the next one
// is read.
func lines(path string) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		f, err := os.Open(path)
		if err != nil {
			yield(nil, err)
			return
		}
		defer f.Close()
		var in io.Reader = f
		if strings.HasSuffix(path, ".gz") {
			if in, err = gzip.NewReader(f); err != nil {
				yield(nil, fmt.Errorf("read %s: %w", path, err))
				return
			}
		}
		r := bufio.NewReaderSize(in, 1<<20)
		var long []byte
		for {
			part, err := r.ReadSlice('\n')
			if errors.Is(err, bufio.ErrBufferFull) {
				long = append(long, part...)
				continue
			}
			line := part
			if len(long) > 0 {
				long = append(long, part...)
				line = long
			}
			if trimmed := bytes.Trim(line, " \t\r\n"); len(trimmed) > 0 && !yield(trimmed, nil) {
				return
			}
			long = long[:0]
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				yield(nil, fmt.Errorf("read %s: %w", path, err))
				return
			}
		}
	}
}

// letter is a dead letter.
type letter struct {
	Ordinal int
	Error   string
	Object  json.RawMessage
	Text    *string
	Base64  *string
}

// bytes returns the object that the letter holds.
func (l letter) bytes() ([]byte, error) {
	switch {
	case l.Text != nil:
		return []byte(*l.Text), nil
	case l.Base64 != nil:
		return base64.StdEncoding.DecodeString(*l.Base64)
	}
	return l.Object, nil
}

// readDead reads the dead letters by ordinal. No file means none.
func readDead(path string) (map[int]letter, error) {
	letters := map[int]letter{}
	if path == "" {
		return letters, nil
	}
	for line, err := range lines(path) {
		if errors.Is(err, os.ErrNotExist) {
			return letters, nil
		}
		if err != nil {
			return nil, err
		}
		var l letter
		if err := json.Unmarshal(line, &l); err != nil {
			return nil, fmt.Errorf("%s: %w: %.200s", path, err, line)
		}
		if _, twice := letters[l.Ordinal]; twice {
			return nil, fmt.Errorf("%s: object %d is dead twice", path, l.Ordinal)
		}
		letters[l.Ordinal] = l
	}
	return letters, nil
}

// transforms lists, by name, expect, which returns the right output of an object, and read, which
// brings an output into the same form, so that both can be compared byte for byte.
var transforms = map[string]struct{ expect, read func([]byte) ([]byte, error) }{
	"identity": {same, same},
	"users":    {expectUser, readNamed},
}

func same(line []byte) ([]byte, error) { return line, nil }

type named struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

func expectUser(object []byte) ([]byte, error) {
	var user struct{ UUID, FN, LN string }
	if err := json.Unmarshal(object, &user); err != nil {
		return nil, err
	}
	return json.Marshal(named{ID: user.UUID, Name: user.FN + " " + user.LN})
}

func readNamed(output []byte) ([]byte, error) {
	var n named
	if err := json.Unmarshal(output, &n); err != nil {
		return nil, err
	}
	return json.Marshal(n)
}
