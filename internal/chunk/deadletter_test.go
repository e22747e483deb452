package chunk

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// checkLetter appends d and parses it; it returns the line.
func checkLetter(t interface {
	Helper()
	Fatalf(string, ...any)
}, d DeadLetter) []byte {
	t.Helper()
	line := d.Append([]byte("before"))
	line, ok := bytes.CutPrefix(line, []byte("before"))
	if !ok || bytes.IndexByte(line, '\n') != len(line)-1 || !json.Valid(line) {
		t.Fatalf("Append(%.200q) gives %.500q, want one line of JSON", d.Object, line)
	}
	got, err := ParseDeadLetter(line)
	if err != nil {
		t.Fatalf("ParseDeadLetter(%.500q): %v", line, err)
	}
	if !bytes.Equal(got.Object, d.Object) {
		t.Fatalf("got the object %.200q, want %.200q (line %.500q)", got.Object, d.Object, line)
	}
	if got.Ordinal != d.Ordinal || got.Chunk != d.Chunk || got.Attempts != d.Attempts {
		t.Fatalf("got %+v, want %+v", got, d)
	}
	for _, s := range [][2]string{{got.Error, d.Error}, {got.Mapper, d.Mapper}, {got.Version, d.Version}} {
		if want := string([]rune(s[1])); s[0] != want { // the conversion replaces what is not UTF-8
			t.Fatalf("got text %q, want %q", s[0], want)
		}
	}
	return line
}

func TestDeadLetter_line(t *testing.T) {
	t.Parallel()
	d := DeadLetter{Ordinal: 1<<64 - 1, Chunk: 7, Error: "a \"b\" <c>\n\x01é", Attempts: 2, Mapper: "m-1", Version: "v1", Object: []byte(`{"z":1e400, "a":1,"a":2}`)}
	want := `{"ordinal":18446744073709551615,"chunk":7,"error":"a \"b\" <c>\n\u0001é","attempts":2,"mapper":"m-1","version":"v1","object":{"z":1e400, "a":1,"a":2}}` + "\n"
	if got := string(checkLetter(t, d)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestDeadLetter_forms(t *testing.T) {
	t.Parallel()
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	for _, c := range [][2]string{
		{`{"a":1}`, `"object":{"a":1}}`},
		{`null`, `"object":null}`},
		{`9007199254740993`, `"object":9007199254740993}`},
		{`{"b":1e400,"a":"\ud800","b":-0}`, `"object":{"b":1e400,"a":"\ud800","b":-0}}`},
		{"{\"a\":\r1}", "\"object\":{\"a\":\r1}}"},
		{`"é<>&` + "\u2028" + `"`, `"object":"é<>&` + "\u2028" + `"}`},
		{``, `"text":""}`},
		{` {"a":1}`, `"text":" {\"a\":1}"}`},
		{"{\"a\":1}\t", `"text":"{\"a\":1}\t"}`},
		{"{\"a\":\n1}", `"text":"{\"a\":\n1}"}`},
		{`{"a":`, `"text":"{\"a\":"}`},
		{`1},"object":{"b":2`, `"text":"1},\"object\":{\"b\":2"}`},
		{"\x00\x1f\x7f\ufffd", `"text":"\u0000\u001f\u007f` + "\ufffd" + `"}`},
		{"\"\xff\"", `"base64":"Iv8i"}`},
		{"\xed\xa0\x80", `"base64":"7aCA"}`},
		{deep(MaxDepth - 1), `"object":` + deep(MaxDepth-1) + `}`},
		{deep(MaxDepth), `"text":"` + deep(MaxDepth) + `"}`},
	} {
		object, form := c[0], c[1]
		line := checkLetter(t, DeadLetter{Ordinal: 1, Error: "x", Object: []byte(object)})
		if !strings.HasSuffix(string(line), ","+form+"\n") {
			t.Errorf("object %.100q: line %.200q, want it to end with %.100q", object, line, form)
		}
	}
	for _, v := range values {
		checkLetter(t, DeadLetter{Object: []byte(v)})
	}
}

// Outputs that cannot be embedded in the line are strings, so that the line can be read.
func TestDeadLetter_outputs(t *testing.T) {
	t.Parallel()
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	for output, form := range map[string]string{
		`{"z":1e400, "a":1}`: `{"z":1e400, "a":1}`,
		deep(MaxDepth - 2):   deep(MaxDepth - 2),
		deep(MaxDepth - 1):   `"` + deep(MaxDepth-1) + `"`,
		`{"a":`:              `"{\"a\":"`,
		`1],"error":"x`:      `"1],\"error\":\"x"`,
		"\"\xff\"":           `"\"` + "\ufffd" + `\""`,
		"":                   `""`,
	} {
		line := DeadLetter{Ordinal: 1, Error: "x", Outputs: [][]byte{[]byte(output), []byte("2")}}.Append(nil)
		if !strings.HasSuffix(string(line), `,"outputs":[`+form+",2]}\n") {
			t.Errorf("output %.100q: line %.200q, want %.100q in it", output, line, form)
		}
		d, err := ParseDeadLetter(line)
		if err != nil || len(d.Outputs) != 2 || d.Error != "x" || d.Object != nil {
			t.Errorf("output %.100q: parsed as %.200v, %v", output, d, err)
		}
		if again := d.Append(nil); !bytes.Equal(again, line) {
			t.Errorf("output %.100q: line %.200q, and after parsing it %.200q", output, line, again)
		}
	}
}

func TestDeadLetter_properties(t *testing.T) {
	t.Parallel()
	anyText := rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) })
	rapid.Check(t, func(t *rapid.T) {
		checkLetter(t, DeadLetter{
			Ordinal:  rapid.Uint64().Draw(t, "ordinal"),
			Chunk:    ID(rapid.Uint64().Draw(t, "chunk")),
			Attempts: rapid.Int().Draw(t, "attempts"),
			Error:    rapid.OneOf(rapid.String(), anyText).Draw(t, "error"),
			Mapper:   rapid.String().Draw(t, "mapper"),
			Version:  rapid.String().Draw(t, "version"),
			Object:   []byte(rapid.OneOf(jsonValue(), rapid.String(), anyText).Draw(t, "object")),
		})
	})
}

func TestParseDeadLetter_malformed(t *testing.T) {
	t.Parallel()
	for _, line := range []string{
		``, `x`, `[]`, `{}`, `null`, `{"ordinal":1}`, `{"ordinal":-1,"object":1}`, `{"object":1}`, `{"ordinal":1,"object":1,"text":"a"}`,
		`{"ordinal":1,"text":"a","base64":"aQ=="}`, `{"ordinal":1,"base64":"*"}`, `{"ordinal":1,"text":2}`, `{"ordinal":1,"object":1} 2`, `{"ordinal":1,"object":`,
	} {
		if d, err := ParseDeadLetter([]byte(line)); !errors.Is(err, ErrDeadLetter) {
			t.Errorf("ParseDeadLetter(%s) = %+v, %v, want %v", line, d, err, ErrDeadLetter)
		}
	}
}

func FuzzDeadLetter(f *testing.F) {
	for _, v := range values {
		f.Add([]byte(v), v)
	}
	f.Fuzz(func(t *testing.T, object []byte, text string) {
		checkLetter(t, DeadLetter{Ordinal: 1, Error: text, Mapper: text, Object: object})
		_, _ = ParseDeadLetter(object) // must not panic
	})
}
