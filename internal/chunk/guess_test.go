package chunk

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestLook(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for _, c := range []struct {
		in   string
		want Guess
		err  string // of an InputError
	}{
		{"", Nothing, ""},
		{"\ufeff \n\r\n", Nothing, ""},
		{"{\"a\":1}\n", IsLines, ""},
		{"{\"a\":1}\n{\n", IsLines, ""},
		{"1\n[\n2\n]\n", IsLines, ""}, // until a line is not valid
		{"x", IsLines, ""},
		{"x\n\n", IsLines, ""},
		{"{\"a\":\n", IsLines, ""},
		{"[INFO] start\n{\"a\":1}\n", IsLines, ""},
		{"[INFO] start\n[INFO] more\n\n{\"a\":1}\n", IsLines, ""},
		{"[1] start\n{\"a\":1}\n", IsLines, ""},
		{"[1,2] start\n{\"a\":1}\n", IsLines, ""},
		{"[1,2\n{\"a\":1}\n", IsLines, ""},
		{"[1,x]\n[2]\n", IsLines, ""},
		{"{\"a\":1\n{\"a\":2}\n", IsLines, ""},
		{"2024-01-01 start\n{\"a\":2}\n", IsLines, ""},
		{"2024-01-01 start\n  {\"a\":2}\n", IsLines, "none of the first 2 lines is JSON"},
		{"Dear all,\n\nnot JSON.\n", IsLines, "none of the first 2 lines is JSON"},
		{"id,name\n" + strings.Repeat("1,x\n", 1000), IsLines, "none of the first 100 lines is JSON"},
		{"{\n  \"a\": x\n  \"l\": [\n  1\n  ]\n}\n", IsLines, "line 2, byte 9: invalid character 'x'"},
		{"{} {}x\nx", IsLines, "line 1, byte 5: invalid character 'x'"},
		{"1-1\n 2\n", IsLines, "no white space between two values"},

		{"[1,2]", IsOneLine, ""},
		{"\n [1,2]\r\n\n", IsOneLine, ""},
		{"[1,2]\n[3,4,5]\n", IsLinesOfArrays, ""},
		{"[1,2]\nx\n", IsLinesOfArrays, ""},

		{"[", IsArray, ""},
		{"[\n", IsArray, ""},
		{"[\n]", IsArray, ""},
		{"[\nx\n]\n", IsArray, ""},
		{"[1,\n2]\n", IsArray, ""},
		{"[1\n,2]\n", IsArray, ""},
		{"[1\n]\n", IsArray, ""},
		{"[{\n\"a\":1}\n]\n", IsArray, ""},
		{"[1,x]\n", IsArray, ""},
		{"[1,x,\n2]\n", IsArray, ""},
		{"[1,2", IsArray, ""},
		{"[{\"a\":", IsArray, ""},
		{"[1," + strings.Repeat("2,", lookAhead), IsArray, ""},

		{"{\n  \"a\": 1\n}\n{\n  \"a\": 2\n}\n", IsValues, ""},
		{"{\n  \"a\": 1\n}", IsValues, ""},
		{"{\n\"a\":\n", IsValues, ""}, // cut off
		{"{} {}\n", IsValues, ""},
		{"{}{}\n", IsValues, ""},
		{"[1][2]\n", IsValues, ""},
		{"\"a\" 1 null\n", IsValues, ""},
		{"1\r2\r3", IsValues, ""},
		{"{\n\"a\":[" + strings.Repeat("1,", lookAhead), IsValues, ""},
		{strings.Repeat("{}", lookAhead), IsValues, ""},
	} {
		slow := iotest.OneByteReader
		if len(c.in) > 1000 { // byte by byte it would consume minutes under the race detector
			slow = iotest.HalfReader
		}
		for _, r := range []io.Reader{strings.NewReader(c.in), slow(strings.NewReader(c.in))} {
			got, err := GuessFormat(r)
			if !failsAs(err, c.err) || err == nil && got != c.want {
				t.Errorf("GuessFormat(%.50q) = %d, %v, want %d, %q", c.in, got, err, c.want, c.err)
			}
		}
		if len(c.in) < 100 { // an error while reading is that error, or comes too late to matter
			_, err := GuessFormat(io.MultiReader(strings.NewReader(c.in), iotest.ErrReader(broken)))
			if _, ok := errors.AsType[*InputError](err); err != nil && !ok && !errors.Is(err, broken) {
				t.Errorf("GuessFormat(%.50q), then an error: %v", c.in, err)
			}
		}
	}
}

// A decision from the outside wins.
func TestScanner_decide(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in   string
		to   Format
		want string
	}{{"[1,2]\n", Lines, "[1,2]"}, {"[1,2]\n", Array, "1 2"}} {
		asked := 0
		objects, err := scan(strings.NewReader(c.in), ScanOptions{Decide: func(g Guess) (Format, error) {
			asked++
			if g != IsOneLine {
				t.Errorf("%q: guessed %d", c.in, g)
			}
			return c.to, nil
		}}, 0)
		if got := strings.Join(describe(objects), " "); err != nil || got != c.want || asked != 1 {
			t.Errorf("%q as %s: %q, %v, asked %d times; want %q", c.in, c.to, got, err, asked, c.want)
		}
	}
	refusal := errors.New("refused")
	if _, err := scan(strings.NewReader("1\n"), ScanOptions{Decide: func(Guess) (Format, error) { return Auto, refusal }}, 0); !errors.Is(err, refusal) {
		t.Errorf("refused: %v", err)
	}
}
