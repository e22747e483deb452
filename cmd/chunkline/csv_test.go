package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chunkline/chunkline/internal/saver"
)

func TestWriteCSV(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ columns, objects, want, err string }{
		"order of the first object": {"", `{"b":1,"a":"x"}` + "\n" + `{"a":"y","b":2}` + "\n", "b,a\n1,x\n2,y\n", ""},
		"chosen order":              {"a,b", `{"b":1,"a":"x"}` + "\n", "a,b\nx,1\n", ""},
		"all kinds of values": {
			"", `{"s":"a,\"b\"\nc","n":1.50e3,"big":12345678901234567890,"t":true,"z":null,"o":{"k":[1]},"e":""}` + "\n",
			"s,n,big,t,z,o,e\n\"a,\"\"b\"\"\nc\",1.50e3,12345678901234567890,true,,\"{\"\"k\"\":[1]}\",\n", "",
		},
		"missing key":              {"", "{\"a\":1,\"b\":2}\n{\"b\":3}\n", "a,b\n1,2\n,3\n", ""},
		"no objects":               {"", "", "", ""},
		"no objects, with columns": {"a,b", "", "a,b\n", ""},
		"another key":              {"", "{\"a\":1}\n{\"a\":2}\n{\"a\":3,\"new\":4}\n", "", `line 3: the object has the key "new", which is no column: list all columns with --columns`},
		"key beside the columns":   {"a", "{\"a\":1,\"b\":2}\n", "", `line 1: the object has the key "b"`},
		"key twice":                {"", "{\"a\":1,\"a\":2}\n", "", "line 1: column \"a\" is there twice"},
		"column twice":             {"a,a", "{\"a\":1}\n", "", "column \"a\" is there twice"},
		"no object":                {"", "{\"a\":1}\n[1]\n", "", "line 2: the output is not a JSON object"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var columns []string
			if c.columns != "" {
				columns = strings.Split(c.columns, ",")
			}
			var got bytes.Buffer
			err := writeCSV(&got, strings.NewReader(c.objects), columns)
			switch {
			case c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)):
				t.Errorf("error %v, want %q", err, c.err)
			case c.err == "" && (err != nil || got.String() != c.want):
				t.Errorf("%v: got %q, want %q", err, got.String(), c.want)
			}
		})
	}
}

// TestExport_csv: a FILE that ends in .csv gets rows, as a whole or not at all, and does not replace another file.
func TestExport_csv(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	in, out := write(t, filepath.Join(dir, "in"), "{\"n\":1,\"s\":\"a,b\"}\n{\"n\":2,\"s\":null}\n"), filepath.Join(dir, "out.jsonl")
	must(t, 0, "run", "-i", in, "-o", out, "-t", "identity")
	folder, err := openResult(t.Context(), &screen{w: t.Output()}, out, "", true)
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	mux := http.NewServeMux()
	(&saver.Downloads{From: folder}).Register(mux)
	server := httptest.NewServer(mux)
	defer server.Close()
	rows := t.TempDir()
	path := filepath.Join(rows, "rows.csv")
	args := []string{"export", "--from", server.URL, "-o", path}

	wantWords(t, must(t, 1, append(args, "--columns", "n")...).err.Error(), path, `line 1: the object has the key "s"`)
	if left, err := os.ReadDir(rows); err != nil || len(left) > 0 {
		t.Errorf("%v; a refused export has left %v", err, left)
	}
	wantWords(t, must(t, 0, args...).stdout, path)
	wantFile(t, path, "n,s\n1,\"a,b\"\n2,\n")
	wantWords(t, must(t, 2, append(args, "--columns", "s,n")...).err.Error(), path+" exists", "--force")
	must(t, 0, append(args, "--columns", "s,n", "--force")...)
	wantFile(t, path, "s,n\n\"a,b\",1\n,2\n")
	if left, err := os.ReadDir(rows); err != nil || len(left) != 1 {
		t.Errorf("%v; there are %v, want only the CSV file", err, left)
	}
	wantWords(t, must(t, 2, append(args, "--columns", "n,n")...).err.Error(), "--columns", "twice")
	wantWords(t, must(t, 2, "export", "--from", server.URL, "-o", filepath.Join(rows, "x.jsonl"), "--columns", "n").err.Error(), ".csv")
}
