package chunk

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// A Guess is what the beginning of a stream suggests about its format.
type Guess uint8

const (
	// Nothing is a stream without any objects.
	Nothing Guess = iota
	// IsLines is lines.
	IsLines
	// IsLinesOfArrays is lines, the first of which holds an array.
	IsLinesOfArrays
	// IsArray is an array.
	IsArray
	// IsOneLine is a stream of one line that is an array: an array of objects, or a line that is an object.
	IsOneLine
	// IsValues is values that span lines or share them.
	IsValues
)

// Format returns the format that the guess stands for; for IsOneLine it is Array.
func (g Guess) Format() Format {
	switch g {
	case Nothing, IsLines, IsLinesOfArrays:
		return Lines
	case IsArray, IsOneLine:
		return Array
	case IsValues:
		return Values
	}
	return Auto
}

// GuessFormat reads the beginning of a stream, at most 1 MiB after blank lines, and guesses its format. It returns an
// InputError if the stream is in none of the formats.
func GuessFormat(r io.Reader) (Guess, error) {
	s := NewScanner(r, ScanOptions{Buffer: 16 << 10})
	if err := s.skipMark(); err != nil {
		return Nothing, err
	}
	return s.guess()
}

// guess guesses the format of the stream. It consumes only blank lines and reads no more than it needs.
func (s *Scanner) guess() (Guess, error) {
	first, found, err := s.firstToken()
	if err != nil || !found {
		return Nothing, err
	}
	if first == lookAhead { // nothing but white space within the look-ahead
		return IsLines, nil
	}
	isArray := s.window()[first] == '['
	end, whole, err := s.lineEnd(0)
	if err != nil {
		return Nothing, err
	}
	if whole && valid(s.window()[:end]) {
		if !isArray {
			return IsLines, nil
		}
		more, err := s.textAfter(end)
		if more {
			return IsLinesOfArrays, err
		}
		return IsOneLine, err
	}
	if isArray {
		if is, err := s.opensArray(first); is || err != nil {
			return IsArray, err
		}
	}
	kept, err := s.sequence(first)
	if err != nil {
		return Nothing, err
	}
	if kept != notValues {
		return IsValues, nil
	}
	return IsLines, s.someLineIsValid()
}

// firstToken consumes blank lines and returns the index of the first byte that is not blank; found is false at the end
// of the stream.
func (s *Scanner) firstToken() (first int, found bool, err error) {
	for searched := 0; ; {
		w := s.seen()
		n := SkipBlanks(w, searched)
		if last := bytes.LastIndexByte(w[:n], '\n'); last >= 0 { // after blank lines
			s.advanceLines(last + 1)
			searched = 0
			continue
		}
		if n < len(w) || n == lookAhead {
			return n, true, nil
		}
		searched = n
		if more, err := s.fill(); !more {
			return 0, false, err
		}
	}
}

// seen returns the part of the window that format detection may look at.
func (s *Scanner) seen() []byte {
	w := s.window()
	return w[:min(len(w), lookAhead)]
}

// lineEnd returns the end of the line that contains index from of the window, and whether that is within the
// look-ahead.
func (s *Scanner) lineEnd(from int) (end int, whole bool, err error) {
	for {
		w := s.seen()
		if n := bytes.IndexByte(w[from:], '\n'); n >= 0 {
			return from + n, true, nil
		}
		if from = len(w); from == lookAhead {
			return from, false, nil
		}
		if more, err := s.fill(); !more {
			return from, true, err
		}
	}
}

// token returns the index of the first byte at or after index i of the window that is not blank, and whether a line
// ends before it. found is false if there is none within the look-ahead.
func (s *Scanner) token(i int) (at int, afterLine, found bool, err error) {
	for {
		w := s.seen()
		for ; i < len(w); i++ {
			if !isBlank(w[i]) {
				return i, afterLine, true, nil
			}
			afterLine = afterLine || w[i] == '\n'
		}
		if i == lookAhead {
			return i, afterLine, false, nil
		}
		if more, err := s.fill(); !more {
			return i, afterLine, false, err
		}
	}
}

// textAfter reports whether text follows at or after index i of the window.
func (s *Scanner) textAfter(i int) (bool, error) {
	_, _, found, err := s.token(i)
	return found, err
}

// opensArray reports whether the '[' at index first of the window opens an array whose elements are the objects. The
// line is not a value by itself. The '[' opens an array if it is alone on its line, or if its first element is valid
// and the line ends where a line of an array may end.
func (s *Scanner) opensArray(first int) (bool, error) {
	i, afterLine, found, err := s.token(first + 1)
	if err != nil || !found || afterLine {
		return err == nil, err
	}
	for elements := 0; ; elements++ {
		end, found, err := s.valueEnd(i)
		switch {
		case err != nil:
			return false, err
		case found == unfinished:
			return true, nil
		case found == invalid && elements == 0:
			return false, nil
		case found == invalid:
			return s.closesLast(first)
		case bytes.IndexByte(s.seen()[i:end], '\n') >= 0:
			return true, nil
		}
		next, afterLine, more, err := s.token(end)
		if err != nil || !more {
			return err == nil, err
		}
		c := s.window()[next]
		if afterLine {
			return c == ',' || c == ']', nil
		}
		if c != ',' {
			return false, nil
		}
		if i, afterLine, more, err = s.token(next + 1); err != nil || !more || afterLine {
			return err == nil, err
		}
	}
}

// closesLast reports whether the array at index first of the window, which has an invalid element, is either not closed
// on its line or followed by nothing.
func (s *Scanner) closesLast(first int) (bool, error) {
	end, _, err := s.lineEnd(first)
	if err != nil {
		return false, err
	}
	var e edge
	n := e.findClose(s.window()[first+1 : end])
	if n < 0 {
		return true, nil
	}
	more, err := s.textAfter(first + 1 + n + 1)
	return !more && err == nil, err
}

// findClose is find, but skips the commas between elements.
func (e *edge) findClose(b []byte) int {
	for from := 0; ; {
		n := e.find(b[from:])
		if n < 0 || b[from+n] == ']' {
			if n >= 0 {
				n += from
			}
			return n
		}
		from += n + 1
	}
}

// A valueLayout is how values are laid out in lines.
type valueLayout uint8

const (
	notValues    valueLayout = iota // these are not values
	oneLine                         // several on one line
	severalLines                    // the first spans lines
)

// sequence reports whether values follow each other from index i of the window up to the end of a line, or of the
// look-ahead.
func (s *Scanner) sequence(i int) (valueLayout, error) {
	how := oneLine
	for count := 0; ; count++ {
		end, found, err := s.valueEnd(i)
		if err != nil || found == invalid {
			return notValues, err
		}
		if count == 0 && bytes.IndexByte(s.seen()[i:end], '\n') >= 0 {
			how = severalLines
		}
		if found == unfinished {
			if count == 0 && how == oneLine {
				return notValues, nil
			}
			return how, nil
		}
		next, afterLine, more, err := s.token(end)
		if err != nil || !more || afterLine {
			return how, err
		}
		if next == end && !separate(s.window()[end-1], s.window()[end]) {
			return notValues, nil
		}
		i = next
	}
}

// ending is how a value ends.
type ending uint8

const (
	invalid    ending = iota // it is not a value
	unfinished               // it goes on after the look-ahead, or the stream ends in it
	complete
)

// valueEnd returns the index after the value at index i of the window, or after the part of an unfinished value that
// was read.
func (s *Scanner) valueEnd(i int) (end int, how ending, err error) {
	w := s.seen()
	if end := ValueEnd(w, i, MaxDepth); end >= 0 && end < len(w) {
		return end, complete, nil
	}
	d := json.NewDecoder(&ahead{s: s, at: i})
	var value json.RawMessage
	err = d.Decode(&value)
	var syntax *json.SyntaxError
	switch {
	case err == nil:
		return i + int(d.InputOffset()), complete, nil
	case errors.As(err, &syntax):
		return i, invalid, nil
	}
	return max(i, len(bytes.TrimRight(s.seen(), blanks))), unfinished, s.readErr
}

// ahead reads the window of a scanner from index at on, up to the look-ahead.
type ahead struct {
	s  *Scanner
	at int
}

var errLookAhead = errors.New("the look-ahead is used up")

func (a *ahead) Read(b []byte) (int, error) {
	for {
		w := a.s.seen()
		if n := copy(b, w[a.at:]); n > 0 {
			a.at += n
			return n, nil
		}
		if len(w) == lookAhead {
			return 0, errLookAhead
		}
		if more, err := a.s.fill(); !more {
			if err == nil {
				err = io.EOF
			}
			return 0, err
		}
	}
}

// someLineIsValid returns an error unless one of the first lines is valid: then the stream is lines, a few of them
// broken. An indented line does not count, because a value that spans lines has such lines.
func (s *Scanner) someLineIsValid() error {
	lines := 0
	for begin := 0; lines < mostBroken; {
		end, whole, err := s.lineEnd(begin)
		switch {
		case err != nil:
			return err
		case !whole:
			lines = max(lines, 1)
		case end > begin:
			line := s.window()[begin:end]
			if !isBlank(line[0]) && valid(line) {
				return nil
			}
			if SkipBlanks(line, 0) < len(line) {
				lines++
			}
		}
		if begin = end + 1; begin > len(s.seen()) || !whole {
			break
		}
		if begin == len(s.seen()) {
			if more, err := s.textAfter(begin); !more {
				if err != nil {
					return err
				}
				break
			}
		}
	}
	if lines <= 1 {
		return nil
	}
	return inputError("none of the first %d lines is JSON, and they are neither an array nor values that span lines (%s); "+
		"if the objects are lines and broken ones should become dead letters, use --format lines", lines, s.firstProblem())
}

// mostBroken is how many lines are searched for a valid one.
const mostBroken = 100

// firstProblem returns why the window does not begin with values.
func (s *Scanner) firstProblem() string {
	d := json.NewDecoder(&ahead{s: s})
	for {
		var value json.RawMessage
		err := d.Decode(&value)
		var syntax *json.SyntaxError
		switch {
		case errors.As(err, &syntax):
			before := s.seen()[:max(syntax.Offset-1, 0)]
			return fmt.Sprintf("line %d, byte %d: %s", s.place.Line+int64(bytes.Count(before, newline)), s.place.Offset+int64(len(before)), err)
		case err != nil:
			return "there is no white space between two values"
		}
	}
}

// An InputError means that a stream cannot be cut into objects, or not to its end. The text tells the operator what to
// do.
type InputError struct{ problem string }

func (e *InputError) Error() string { return e.problem }

func inputError(format string, args ...any) error {
	return &InputError{fmt.Sprintf(format, args...)}
}
