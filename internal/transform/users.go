package transform

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/chunkline/chunkline/internal/backoff"
	"github.com/chunkline/chunkline/internal/chunk"
)

// users turns {uuid, fn, ln, friends} into {"id": uuid, "name": fn + " " + ln}.
//
// It copies the three strings as they are written, escapes included, so that they stay as they were: even a lone
// surrogate does, and the space keeps two halves from joining. Keys are case-sensitive; as in jq, the last of several
// equal keys counts.
type users struct {
	duration time.Duration // simulated work for a whole chunk
}

// simulate waits for a part of the duration.
func (u *users) simulate(ctx context.Context, part float64) error {
	if u.duration == 0 {
		return nil
	}
	return backoff.Sleep(ctx, time.Duration(part*float64(u.duration)))
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

// readUser finds the fields in one scan.
func readUser(object []byte) (user, error) {
	var u user
	i := chunk.SkipBlanks(object, 0)
	switch {
	case i == len(object):
		return u, errNoJSON
	case object[i] != '{':
		return u, fmt.Errorf("users: the object is %s, not {uuid, fn, ln, friends}", kindOf(object[i:]))
	}
	if i = chunk.SkipBlanks(object, i+1); i < len(object) && object[i] == '}' {
		return u, u.check()
	}
	for more := true; more; {
		key, at := chunk.Key(object, i)
		if at < 0 {
			return u, errNoJSON
		}
		end := chunk.ValueEnd(object, at, chunk.MaxDepth)
		if i, more = chunk.Next(object, end, '}'); i < 0 {
			return u, errNoJSON
		}
		u.set(key, object[at:end])
	}
	if chunk.SkipBlanks(object, i) != len(object) {
		return u, errNoJSON
	}
	return u, u.check()
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
