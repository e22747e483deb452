package tabular_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/chunkline/chunkline/internal/tabular"
)

// tableOf writes objects, one a line, as a table.
func tableOf(format tabular.Format, chosen []string, objects string) (string, error) {
	columns := tabular.NewColumns(chosen)
	add := tabular.LineWriter{Line: columns.Add}
	if _, err := add.Write([]byte(objects)); err != nil {
		return "", err
	}
	var table bytes.Buffer
	w, err := tabular.NewWriter(&table, format, columns)
	if err != nil {
		return "", err
	}
	rows := tabular.LineWriter{Line: w.Row}
	for b := range strings.SplitAfterSeq(objects, "a") { // in blocks that are no lines
		if _, err := rows.Write([]byte(b)); err != nil {
			return "", err
		}
	}
	err = w.Close()
	return table.String(), err
}

func TestCSV(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ columns, objects, want, err string }{
		"order of first appearance": {"", `{"b":1,"a":"x"}` + "\n" + `{"c":3,"a":"y","b":2}` + "\n", "b,a,c\n1,x,\n2,y,3\n", ""},
		"chosen keys":               {"c,a", `{"b":1,"a":"x"}` + "\n", "c,a\n,x\n", ""},
		"all kinds of values": {
			"", `{"s":"a,\"b\"\nc","n":1.50e3,"big":12345678901234567890,"t":true,"z":null,"o":{"k": [1]},"e":"","u":"\u00e9\ud83d\ude00"}` + "\n",
			"s,n,big,t,z,o,e,u\n\"a,\"\"b\"\"\nc\",1.50e3,12345678901234567890,true,,\"{\"\"k\"\": [1]}\",,é😀\n", "",
		},
		"fields that programs may trim or skip": {"", `{"a":" x"}` + "\n" + `{"a":"\\."}` + "\n{}\n" + `{"a":""}` + "\n", "a\n\" x\"\n\"\\.\"\n\"\"\n\"\"\n", ""},
		"names with quotes":                     {"", `{"a \"b\"":1,",":2}` + "\n", "\"a \"\"b\"\"\",\",\"\n1,2\n", ""},
		"no objects":                            {"", "", "", ""},
		"no objects, with columns":              {"a,b", "", "a,b\n", ""},
		"key twice":                             {"", "{\"a\":1,\"\\u0061\":2}\n", "", `has the key "a" twice`},
		"key twice of many":                     {"", "{" + members(50) + `,"k7":0}` + "\n", "", `has the key "k7" twice`},
		"array":                                 {"", "{\"a\":1}\n[1]\n", "", "is not a JSON object"},
		"no JSON":                               {"", "{\"a\":1\n", "", "is not valid JSON"},
		"no JSON within":                        {"", "{\"a\":[1,]}\n", "", "is not valid JSON"},
		"more than JSON":                        {"", "{\"a\":1} x\n", "", "is not valid JSON"},
		"no UTF-8":                              {"", "{\"a\":\"\xff\"}\n", "", "is not valid UTF-8"},
		"half of a pair in a key":               {"", `{"\ud83d":1}` + "\n", "", "half of a surrogate pair"},
		"empty objects":                         {"", "{}\n{ }\n", "", "none of them has a key"},
		"too many keys":                         {"", "{" + members(tabular.MaxColumns+1) + "}\n", "", "more than 2000 different keys"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var columns []string
			if c.columns != "" {
				columns = strings.Split(c.columns, ",")
			}
			got, err := tableOf(tabular.CSV, columns, c.objects)
			switch {
			case c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)):
				t.Errorf("error %v, want %q", err, c.err)
			case c.err != "" && !errors.Is(err, tabular.ErrNoRow) && !errors.Is(err, tabular.ErrNoTable):
				t.Errorf("error %v, want one of the package", err)
			case c.err == "" && (err != nil || got != c.want):
				t.Errorf("%v: got %q, want %q", err, got, c.want)
			}
		})
	}
}

// members returns n members of an object.
func members(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `,"k%d":%[1]d`, i)
	}
	return b.String()[1:]
}

// TestKnown: with known columns another key is an error.
func TestKnown(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	w, err := tabular.NewWriter(&b, tabular.CSV, tabular.Known([]string{"a"}))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Row([]byte("{}")), w.Row([]byte(`{"a":1}`))); err != nil || b.String() != "a\n\"\"\n1\n" {
		t.Errorf("wrote %q, %v", b.String(), err)
	}
	if err := w.Row([]byte(`{"b":null}`)); !errors.Is(err, tabular.ErrNoTable) || !strings.Contains(err.Error(), `"b"`) {
		t.Errorf("another key: %v", err)
	}
}

func TestSameValue(t *testing.T) {
	t.Parallel()
	for _, same := range [][2]string{
		{"1", "1.0"}, {"100", "1E2"}, {"-0", "-0.0"}, {"0", "0e5"}, {"0.1", "1e-1"}, {"1e400", "10e399"}, {`"a"`, `"\u0061"`}, {`"/"`, `"\/"`}, {"null", "null"},
		{"[1, 2]", "[1, 2]"}, {"1e99999999999", "1e99999999999"},
	} {
		if !tabular.SameValue([]byte(same[0]), []byte(same[1])) {
			t.Errorf("%s is not %s", same[0], same[1])
		}
	}
	for _, other := range [][2]string{
		{"1", "2"}, {"1", `"1"`}, {"0", "-0"}, {"9007199254740993", "9007199254740992"}, {"1e400", "1e401"}, {"10", "1"}, {`"a"`, `"b"`}, {"null", "false"}, {"[1]", "[2]"},
		{"1e99999999999", "1e99999999998"},
	} {
		if tabular.SameValue([]byte(other[0]), []byte(other[1])) {
			t.Errorf("%s is %s", other[0], other[1])
		}
	}
}
