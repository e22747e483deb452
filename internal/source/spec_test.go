package source

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/chunkline/chunkline/internal/chunk"
)

func TestOpen_errors(t *testing.T) {
	t.Parallel()
	folder := write(t, "a.jsonl", "1\n", "d/x", "1\n", "a.xz", "\xfd7zXZ\x00rest", "a.zip", "PK\x03\x04", "a.bz2", "BZh9")
	in := func(name string) string { return filepath.Join(folder, name) }
	if err := os.Symlink("loop", in("loop")); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		spec  string
		wants []string
	}{
		{"", []string{"empty", "standard input"}},
		{" ", []string{"empty"}},
		{in("a.jsonl") + ",", []string{"empty", in("a.jsonl")}},
		{in("missing"), []string{in("missing"), "no such file", "a glob"}},
		{in("a.jsonl") + "," + in("missing"), []string{`"` + in("missing") + `"`, "no such file"}},
		{in("a.jsonl/x"), []string{in("a.jsonl/x"), "not a directory"}},
		{in("*.csv"), []string{in("*.csv"), "matches no file"}},
		{folder + "/d?", []string{"matches no file"}},
		{folder + "/?", []string{"matches no file"}}, // only a directory
		{in("["), []string{"syntax error in pattern"}},
		{in("d"), []string{in("d"), "is a directory", filepath.Join(in("d"), "*.jsonl")}},
		{in("loop"), []string{in("loop"), "symbolic links"}},
		{in("a.xz"), []string{in("a.xz"), "xz is not supported", "gzip or zstd"}},
		{in("a.zip"), []string{"zip is not supported"}},
		{in("a.bz2"), []string{"bzip2 is not supported"}},
		{"-," + in("a.jsonl"), []string{"the only item"}},
		{in("a.jsonl") + ",stdin:", []string{"the only item"}},
		{"-", []string{"no standard input"}},
		{"ftp://host/x", []string{"ftp://host/x", "there is no source ftp:"}},
		{"ftp://host/x", []string{"there is no source ftp:"}},
		{"file://host/x", []string{"host", "file:///"}},
		{"file:", []string{"no path"}},
		{"file:///a%zz", []string{"%zz", "%25"}},
		{"file:///a?b", []string{"%3F"}},
		{"file://" + in("missing"), []string{"file://" + in("missing"), "no such file"}},
		{"file://" + in("%2A"), []string{"no such file"}}, // not a wildcard
		{in("a.jsonl") + "?format=xml", []string{"format=xml", "format=auto, lines, array, values, csv, tsv or parquet"}},
		{"file://" + in("a.jsonl") + "?format=", []string{"format=auto, lines"}},
	} {
		s, err := Open(Options{Size: 100, Bytes: 100}, c.spec)
		if !errors.Is(err, ErrSettings) || s != nil {
			t.Errorf("Open(%q) = %v, %v, want %v", c.spec, s, err, ErrSettings)
			continue
		}
		for _, want := range c.wants {
			if !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("Open(%q): %q, want one line with %q", c.spec, err, want)
			}
		}
	}
	if _, err := Open(Options{Size: 100, Bytes: 100}, in("missing")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing file: %v, want %v as well", err, fs.ErrNotExist)
	}
	for want, plan := range map[string][2]int{"chunk size 0": {0, 1}, "chunk bytes 0": {1, 0}, "chunk size 10001": {chunk.MaxSize + 1, 1}} {
		if _, err := Open(Options{Size: plan[0], Bytes: plan[1]}, in("a.jsonl")); !errors.Is(err, ErrSettings) || !strings.Contains(err.Error(), want) {
			t.Errorf("Open(…, %v): %v, want %q", plan, err, want)
		}
	}
}

// No message shows the password of a URL, whatever its scheme.
func TestOpen_password(t *testing.T) {
	t.Parallel()
	const secret = "canary-5d1"
	for _, spec := range []string{
		"mysql://user:" + secret + "@host/db", "mysql://:" + secret + "@host/db", "ftp://user:" + secret + "/" + secret + "@host/x", "mysql://user:" + secret + ",@host/db",
		"file://user:" + secret + "@host/x", "gs://user:" + secret + "@bucket/x", "s3://user:" + secret + "@bucket/x", "mysql://user:" + secret + "@host/db,",
		"mysql://user:" + secret + "@host/db,-", `cmd:curl "https://user:` + secret + "@host/x", "cmd?format=xml:curl https://user:" + secret + "@host/x",
	} {
		s, err := Open(Options{Size: 100, Bytes: 100}, spec)
		if err == nil || s != nil || strings.Contains(err.Error(), secret) {
			t.Errorf("Open(%q): %v, want an error without the password", spec, err)
		}
	}
}

func TestOpen_sameFileTwice(t *testing.T) {
	t.Parallel()
	folder := write(t, "a.jsonl", "1\n", "b,c.jsonl", "1\n", "x/a.jsonl", "2\n")
	in := func(name string) string { return filepath.Join(folder, name) }
	if err := errors.Join(os.Symlink("a.jsonl", in("soft")), os.Link(in("a.jsonl"), in("hard"))); err != nil {
		t.Fatal(err)
	}
	for spec, want := range map[string]string{
		in("a.jsonl") + "," + in("a.jsonl"):                      in("a.jsonl") + " is named twice",
		in("a.jsonl") + "," + folder + "/x/../a.jsonl":           in("a.jsonl") + " is named twice",
		in("a.jsonl") + "," + folder + "/*":                      in("a.jsonl") + " is named twice, directly or by a glob",
		in("a.jsonl") + "?format=lines," + in("soft"):            in("a.jsonl") + " and " + in("soft") + " are the same file",
		in("hard") + "," + in("x/a.jsonl") + "," + in("a.jsonl"): in("hard") + " and " + in("a.jsonl") + " are the same file",
		folder + "/[hs]*": in("hard") + " and " + in("soft") + " are the same file",
		in("b?c.jsonl") + ",file:" + in("b%2Cc.jsonl"): "%2Cc.jsonl is named twice",
	} {
		if s, err := Open(Options{Size: 100, Bytes: 100}, spec); !errors.Is(err, ErrSettings) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "name it once") {
			t.Errorf("%s: %v, %v, want %q", spec, s, err, want)
		}
	}
}

func TestOpen_unreadable(t *testing.T) {
	t.Parallel()
	path := filepath.Join(write(t, "secret", "1\n"), "secret")
	if err := os.Chmod(path, 0); err != nil {
		t.Fatal(err)
	}
	if f, err := os.Open(path); err == nil {
		_ = f.Close()
		t.Skip("this user may read everything")
	}
	_, err := Open(Options{Size: 100, Bytes: 100}, path)
	if !errors.Is(err, ErrSettings) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "permission denied") {
		t.Errorf("unreadable file: %v, want %v that names it", err, ErrSettings)
	}
}

// Not parallel: it changes the working directory.
func TestOpen_names(t *testing.T) {
	folder := write(t,
		"data/b.jsonl", "", "data/a.jsonl", "", "data/c.json", "", "data/d.jsonl/x", "", "more/a.jsonl", "",
		"odd, name.jsonl", "", "set[1].jsonl", "", "100%.jsonl", "", "-", "", "stdin", "", "é ü.jsonl", "", "file:x", "", "\xff", "", "q?format=lines", "")
	t.Chdir(folder)
	for spec, want := range map[string]string{
		"data/a.jsonl":                          "data/a.jsonl",
		"./data//b.jsonl, data/../data/a.jsonl": "data/b.jsonl,data/a.jsonl",
		"data/*.jsonl":                          "data/a.jsonl,data/b.jsonl", // sorted; not the directory d.jsonl
		"data/b.jsonl,data/[^b]*":               "data/b.jsonl,data/a.jsonl,data/c.json",
		"data/**":                               "data/a.jsonl,data/b.jsonl,data/c.json,data/d.jsonl/x",
		"*/a.jsonl":                             "data/a.jsonl,more/a.jsonl",
		"file:data/*.jsonl":                     "data/a.jsonl,data/b.jsonl",
		"file:d%61ta/[b].jsonl":                 "data/b.jsonl",
		"file:odd%2C%20name.jsonl":              "file:odd%2C%20name.jsonl",
		"odd*":                                  "file:odd%2C%20name.jsonl",
		"set[1].jsonl":                          "file:set%5B1].jsonl", // the file exists, so this is no glob
		"file:set%5B1%5D.jsonl":                 "file:set%5B1].jsonl",
		"file:set%5B1].*":                       "file:set%5B1].jsonl",
		"100%.jsonl":                            "file:100%25.jsonl",
		"./-":                                   "file:-",
		"stdin":                                 "file:stdin",
		"file:file:x":                           "file:file:x",
		"é ü.jsonl":                             "é ü.jsonl",
		"file:%FF":                              "file:%FF",
		"file:q%3Fformat=lines":                 "file:q%3Fformat=lines",
		"file://" + folder + "/data":            "",
		"data/a.jsonl?format=array":             "data/a.jsonl?format=array",
	} {
		s, err := Open(Options{Size: 100, Bytes: 100}, spec)
		if want == "" {
			if err == nil {
				t.Errorf("Open(%q) = %q, want an error", spec, s.Identity())
			}
			continue
		}
		if err != nil || s.Identity() != want {
			t.Errorf("Open(%q) = %v, %v, want %q", spec, s, err, want)
			continue
		}
		again, err := Open(Options{Size: 100, Bytes: 100}, s.Identity())
		if err != nil || again.Identity() != want {
			t.Errorf("Open(%q): %v; opened by its identity it is %v", spec, err, again)
		}
	}
}

func TestOpen_manyFiles(t *testing.T) {
	t.Parallel()
	var files []string
	for i := range 300 {
		files = append(files, "a-rather-long-name-"+strings.Repeat("x", i), "1\n")
	}
	folder := write(t, files[:400]...)
	first := open(t, folder+"/*", 100, 100, nil)
	if len(first.Identity()) > 1000 || !strings.Contains(first.Identity(), "and 199 more files") {
		t.Errorf("identity of 200 files: %q", first.Identity())
	}
	if err := os.Rename(filepath.Join(folder, files[398]), filepath.Join(folder, files[398]+"y")); err != nil {
		t.Fatal(err)
	}
	if second := open(t, folder+"/*", 100, 100, nil); second.Identity() == first.Identity() {
		t.Errorf("another last name gives the same identity %q", first.Identity())
	}
}

func TestEscape_properties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		name := string(rapid.SliceOfN(rapid.Byte(), 1, 20).Draw(t, "name"))
		path, pattern, err := fromURL(escape(name))
		if strings.HasPrefix(name, "//") {
			return // cleaned names don't
		}
		if err != nil || path != name || pattern != "" || strings.ContainsAny(escape(name), ", \n") {
			t.Fatalf("escape(%q) = %q, read as %q, %q, %v", name, escape(name), path, pattern, err)
		}
	})
}
