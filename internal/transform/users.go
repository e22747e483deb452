package transform

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// users turns {uuid, fn, ln, friends} into {"id": uuid, "name": fn + " " + ln}.
//
// It copies the three strings as they are written, escapes included, so that they
// stay as they were: even a lone surrogate does, and the space keeps two halves
// from joining. Keys are case-sensitive; as in jq, the last of several equal keys
// counts.
type users struct {
	duration time.Duration // simulated work for a whole chunk
}

// simulate waits for a part of the duration.
func (u *users) simulate(ctx context.Context, part float64) error {
	if u.duration == 0 {
		return nil
	}
	timer := time.NewTimer(time.Duration(part * float64(u.duration)))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (u *users) Close() error { return nil }
func (u *users) quick()       {}

func (u *users) Map(_ context.Context, object, dst []byte) ([]byte, error) {
	user, err := readUser(object)
	if err != nil {
		return dst, err
	}
	dst = append(dst, `{"id":`...)
	dst = append(dst, user.uuid...)
	dst = append(dst, `,"name":`...)
	dst = append(dst, user.fn[:len(user.fn)-1]...)
	dst = append(dst, ' ')
	dst = append(dst, user.ln[1:]...)
	return append(dst, '}', '\n'), nil
}

// A user holds the values of its fields as they are written in the object.
type user struct{ uuid, fn, ln []byte }

var errNoJSON = errors.New("users: the object is not JSON")

// readUser finds the fields in one scan. It relies on object being valid JSON: for
// anything else it returns an error or arbitrary fields, but does not panic.
func readUser(object []byte) (user, error) {
	var u user
	i := skipSpace(object, 0)
	if i == len(object) {
		return u, errNoJSON
	}
	if object[i] != '{' {
		return u, fmt.Errorf("users: the object is %s, not {uuid, fn, ln, friends}", kindOf(object[i:]))
	}
	if i = skipSpace(object, i+1); i < len(object) && object[i] == '}' {
		i++
	} else {
		for more := true; more; {
			if i, more = u.readMember(object, i); i < 0 {
				return u, errNoJSON
			}
		}
	}
	if skipSpace(object, i) != len(object) {
		return u, errNoJSON
	}
	return u, u.check()
}

// readMember reads the key and value at i, and returns where the next one
// starts, or the end of the object with more == false, or -1.
func (u *user) readMember(b []byte, i int) (next int, more bool) {
	if i == len(b) || b[i] != '"' {
		return -1, false
	}
	end := stringEnd(b, i)
	if end < 0 {
		return -1, false
	}
	key := b[i+1 : end-1]
	if i = skipSpace(b, end); i == len(b) || b[i] != ':' {
		return -1, false
	}
	i = skipSpace(b, i+1)
	if end = valueEnd(b, i); end < 0 {
		return -1, false
	}
	u.set(key, b[i:end])
	if i = skipSpace(b, end); i == len(b) {
		return -1, false
	}
	switch b[i] {
	case ',':
		return skipSpace(b, i+1), true
	case '}':
		return i + 1, false
	}
	return -1, false
}

func (u *user) set(key, value []byte) {
	if bytes.IndexByte(key, '\\') >= 0 {
		var plain string // rare: the key has escapes
		if json.Unmarshal(append(append([]byte{'"'}, key...), '"'), &plain) != nil {
			return
		}
		key = []byte(plain)
	}
	switch string(key) {
	case "uuid":
		u.uuid = value
	case "fn":
		u.fn = value
	case "ln":
		u.ln = value
	}
}

func (u *user) check() error {
	for _, field := range [...]struct {
		name  string
		value []byte
	}{{"uuid", u.uuid}, {"fn", u.fn}, {"ln", u.ln}} {
		if field.value == nil {
			return fmt.Errorf("users: the field %s is missing", field.name)
		}
		if field.value[0] != '"' {
			return fmt.Errorf("users: the field %s is %s, not a string", field.name, kindOf(field.value))
		}
	}
	return nil
}

func kindOf(value []byte) string {
	switch value[0] {
	case '{':
		return "an object"
	case '[':
		return "an array"
	case '"':
		return "a string"
	case 't', 'f':
		return "a boolean"
	case 'n':
		return "null"
	}
	return "a number"
}

func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t' || b[i] == '\r' || b[i] == '\n') {
		i++
	}
	return i
}

// valueEnd returns the index behind the value that starts at i, or -1.
func valueEnd(b []byte, i int) int {
	if i == len(b) {
		return -1
	}
	switch b[i] {
	case '"':
		return stringEnd(b, i)
	case '{', '[':
		return nestEnd(b, i)
	}
	start := i
	for i < len(b) && b[i] != ',' && b[i] != '}' && b[i] > ' ' {
		i++
	}
	if i == start {
		return -1
	}
	return i
}

// nestEnd returns the index behind the object or array that starts at i, or -1.
func nestEnd(b []byte, i int) int {
	for depth := 0; i < len(b); i++ {
		switch b[i] {
		case '"':
			end := stringEnd(b, i)
			if end < 0 {
				return -1
			}
			i = end - 1
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return -1
}

// stringEnd returns the index behind the string whose first quote is at i,
// or -1.
func stringEnd(b []byte, i int) int {
	for j := i + 1; ; j++ {
		n := bytes.IndexByte(b[j:], '"')
		if n < 0 {
			return -1
		}
		j += n
		k := j
		for k > i+1 && b[k-1] == '\\' {
			k--
		}
		if (j-k)%2 == 0 { // an odd number of backslashes escapes the quote
			return j + 1
		}
	}
}
