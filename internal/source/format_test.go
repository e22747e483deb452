package source

import (
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"
)

// Files that hold one array on one line are read in the format of the job's other files.
func TestOpen_oneLine(t *testing.T) {
	t.Parallel()
	folder := write(t,
		"one", "[1,2]\n", "two", "[3,4]", "lines", "[5]\n[6,7]\n", "array", "[\n8\n]\n", "objects", "{\"a\":9}\n",
		"values", "{\n\"a\":10\n}\n", "empty", "\n", "one.gz", gz("[11]\n"), "lines.gz", gz("[12]\n[13]\n"))
	const unclear = "are the elements of that array the objects, or is the line one object?"
	for _, c := range []struct {
		names  string
		format string
		want   string
		err    string
	}{
		{names: "one", want: "1 2"},
		{names: "one two", want: "1 2 3 4"},
		{names: "one empty", want: "1 2"},
		{names: "one array", want: "1 2 8"},
		{names: "array one", want: "8 1 2"},
		{names: "one lines", want: "[1,2] [5] [6,7]"},
		{names: "lines one", want: "[5] [6,7] [1,2]"},
		{names: "lines objects one", want: `[5] [6,7] {"a":9} [1,2]`},
		{names: "one.gz lines", want: "[11] [5] [6,7]"},
		{names: "one lines.gz", want: "[1,2] [12] [13]"},
		{names: "objects array values lines", want: `{"a":9} 8 { "a":10 } [5] [6,7]`},
		{names: "one objects", err: unclear},
		{names: "values one", err: unclear},
		{names: "one lines array", err: unclear},
		{names: "one array objects", err: unclear},
		{names: "one lines array", format: "lines", want: "[1,2] [5] [6,7] [ ! FOLDER/array, line 1, byte 0: not valid JSON: unexpected end of JSON input (byte 1 of the object) " +
			"8 ] ! FOLDER/array, line 3, byte 4: not valid JSON: invalid character ']' looking for beginning of value (byte 1 of the object)"},
		{names: "one lines array", format: "array", want: "1 2 5 6 7 8"},
		{names: "one lines array objects", format: "values", want: `[1,2] [5] [6,7] [ 8 ] {"a":9}`},
	} {
		var paths []string
		for name := range strings.FieldsSeq(c.names) {
			paths = append(paths, filepath.Join(folder, name))
		}
		s, err := Open(Options{Format: mustFormat(t, c.format), Size: 2, Bytes: 1000}, strings.Join(paths, ","))
		if c.err != "" {
			if !errors.Is(err, ErrSettings) || !strings.Contains(err.Error(), c.err) || !strings.Contains(err.Error(), filepath.Join(folder, "one")) {
				t.Errorf("%s: %v, want %q", c.names, err, c.err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.names, err)
			continue
		}
		cuts, err := drain(s)
		if got := strings.ReplaceAll(strings.Join(objects(cuts), " "), folder, "FOLDER"); err != nil || got != c.want {
			t.Errorf("%s as %s: got %q, %v, want %q", c.names, c.format, got, err, c.want)
		}
		// Opening the source by its name in the plan, as verify does, gives the same.
		again := open(t, s.Identity(), 2, 1000, nil)
		if again.Plan().ID() != s.Plan().ID() {
			t.Errorf("%s: identity %q, again %q", c.names, s.Identity(), again.Identity())
		}
		for _, cut := range cuts {
			if !again.Rereads() {
				break
			}
			if read, err := again.Reread(t.Context(), cut.Mark); err != nil || !same(read, cut.Chunk) {
				t.Errorf("%s: chunk %d again: %q, %v, want %q", c.names, cut.Chunk.ID, read.Body, err, cut.Body)
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

func mustFormat(t *testing.T, setting string) Format {
	t.Helper()
	f, err := ParseFormat(setting)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestParseFormat: String returns the setting, and equal settings have one text.
func TestParseFormat(t *testing.T) {
	t.Parallel()
	for setting, want := range map[string]string{
		"": "auto", "auto": "auto", "lines": "lines", "array": "array", "values": "values", "parquet": "parquet", "csv": "csv", "tsv": "tsv",
		"csv&types=auto&delimiter=;": "csv&delimiter=;&types=auto", "csv&types=id:int,%22a,b:bool%22": `csv&types=id:int%2C"a%2Cb:bool"`,
		"csv&columns=a,b&header=no&null=": "csv&header=no&columns=a%2Cb&null=", "tsv&quote=none": "tsv&quote=none", "csv&delimiter=%26": "csv&delimiter=%26",
	} {
		f, err := ParseFormat(setting)
		if err != nil || f.String() != want {
			t.Errorf("%q: %q, %v, want %q", setting, f, err, want)
		}
		if again, err := ParseFormat(f.String()); err != nil || again.String() != f.String() {
			t.Errorf("%q again: %q, %v", f, again, err)
		}
	}
	for setting, want := range map[string]string{
		"xml": "use format=auto, lines, array, values, csv, tsv or parquet", "lines&types=auto": "only csv and tsv have options", "csv&sep=;": `there is no option "sep"`,
		"csv&null=%": "%25", "csv&null=1&null=2": "twice", "csv&delimiter=": "one ASCII character", "csv&delimiter=é": "one ASCII character", "csv&delimiter=\"": "one ASCII character",
		"csv&quote='": "quote=none", "csv&header=maybe": "use yes or no", "csv&header=no": "columns=", "csv&columns=a": "header=", "csv&header=no&columns=\"a": "list with commas",
		"csv&types=id": "write auto, or a column and its type", "csv&types=id:date": `type "date": use string, auto, int, float, bool`,
	} {
		if _, err := ParseFormat(setting); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", setting, err, want)
		}
	}
}

// Input that is not JSON at all is refused before any work starts.
func TestOpen_noFormat(t *testing.T) {
	t.Parallel()
	path := filepath.Join(write(t, "a.txt", "id,name\n1,x\n2,y\n"), "a.txt")
	_, err := Open(Options{Size: 2, Bytes: 1000}, path)
	if !errors.Is(err, ErrSettings) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "--format lines") || strings.Contains(err.Error(), "\n") {
		t.Errorf("a table: %v", err)
	}
	s, err := Open(Options{Format: mustFormat(t, "lines"), Size: 2, Bytes: 1000}, path)
	if err != nil {
		t.Fatal(err)
	}
	cuts, err := drain(s)
	if got := objects(cuts); err != nil || len(got) != 3 || !strings.Contains(got[0], " ! line 1") {
		t.Errorf("forced: %q, %v", got, err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}

	stdin := open(t, "-", 2, 1000, strings.NewReader("id,name\n1,x\n"))
	if _, _, err := stdin.Next(t.Context()); err == nil || errors.Is(err, io.EOF) || !strings.HasPrefix(err.Error(), "read stdin, line 1, byte 0: none of the first 2 lines") {
		t.Errorf("standard input: %v", err)
	}
}

// Input whose producer dies is not mistaken for complete input.
func TestSource_torn(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"{\"a\":1}\n{\"a\":":      "read stdin, line 2, byte 8: the input ends in the middle of a line",
		"{\"a\":1}\n{\"a\":2":     "read stdin, line 2, byte 8: the input ends in the middle of a line",
		"[\n1,\n2":                "read stdin, line 3, byte 5: the input ends in or after this element",
		"[\n1,\n":                 "read stdin, line 3, byte 5: the input ends before the ']'",
		"{\n\"a\":1\n}\n{\n\"a\"": "read stdin, line 4, byte 10: the input ends in the middle of this value",
		"{\"a\":1}\n{\"a\":2}":    "",
		"{\n\"a\":1\n}":           "",
		"[1]":                     "",
	} {
		s := open(t, "-", 1, 1000, strings.NewReader(in))
		cuts, err := drain(s)
		if want == "" && err != nil || want != "" && (err == nil || !strings.HasPrefix(err.Error(), want)) {
			t.Errorf("%q: %v, want %q", in, err, want)
		}
		if len(cuts) == 0 {
			t.Errorf("%q: the objects before were not returned", in)
		}
	}
}

// A file that has changed its format since it was cut.
func TestReread_otherFormat(t *testing.T) {
	t.Parallel()
	path := filepath.Join(write(t, "a", "{\n\"a\":1\n}\n{\n}\n"), "a")
	s := open(t, path, 1, 100, nil)
	cuts, err := drain(s)
	if err != nil || len(cuts) != 2 {
		t.Fatalf("%d chunks, %v", len(cuts), err)
	}
	replaceFile(t, path, "x\ny\n")
	if _, err := s.Reread(t.Context(), cuts[0].Mark); !errors.Is(err, ErrChanged) {
		t.Errorf("read again: %v, want %v", err, ErrChanged)
	}
	replaceFile(t, path, "{\n\"a\":1\n}\n{")
	if _, err := s.Reread(t.Context(), cuts[1].Mark); !errors.Is(err, ErrChanged) {
		t.Errorf("read again, cut off: %v, want %v", err, ErrChanged)
	}
}
