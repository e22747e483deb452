package main

import (
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestRunOtherFormat: if a job fails because of its format, the error says how to run it with another one.
func TestRunOtherFormat(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	in, out := write(t, filepath.Join(dir, "in"), "[\n1\n]\n[2]\n"), filepath.Join(dir, "out")
	args := []string{"run", "-i", in, "-o", out, "-m", "."}
	wantWords(t, must(t, 1, args...).err.Error(), "line 4, byte 6: text follows the end of the array", "remove "+out+".chunkline")
	args = append(args, "--format", "values")
	wantWords(t, must(t, 1, args...).err.Error(), "another plan", "remove the folder "+out+".chunkline (nothing is saved in it yet)", "another --output")
	if err := os.RemoveAll(out + ".chunkline"); err != nil {
		t.Fatal(err)
	}
	must(t, 0, args...)
	wantFile(t, out, "[1]\n[2]\n")
}

// TestRunFormats: run detects the objects of an input, or fails with a reason if they are ambiguous.
func TestRunFormats(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var pretty, ids strings.Builder
	for i := range 250 {
		fmt.Fprintf(&pretty, "{\n  \"id\": %d,\n  \"list\": [\n    1\n  ]\n}\n", i)
		fmt.Fprintln(&ids, i)
	}
	for name, text := range map[string]string{
		"lines": "[1,2]\n[3,4,5]\n", "one": "[6,7,8]\n", "log": "[INFO] start\n{\"id\":1}\n{\"id\":2}\n", "half": "[1,2\n{\"id\":1}\n",
		"pretty": pretty.String(), "db": "{\n  \"id\": {\n    \"a\": 1\n  }\n}\n", "text": "Dear all,\nnot JSON.\n",
		"table.csv": "n,s\n1,\"a,b\"\n,2\n",
	} {
		write(t, filepath.Join(dir, name), text)
	}
	for i, c := range []struct {
		inputs, flags, program string
		code                   int
		output, said           string
	}{
		{inputs: "lines one", program: "length", output: "2\n3\n3\n"},
		{inputs: "one lines", program: "length", output: "3\n2\n3\n"},
		{inputs: "one", program: ".", output: "6\n7\n8\n"},
		{inputs: "one", flags: "--format lines", program: "length", output: "3\n"},
		{inputs: "lines one", flags: "--format array", program: ".", output: "1\n2\n3\n4\n5\n6\n7\n8\n"},
		{inputs: "log", program: ".id", code: 4, output: "1\n2\n"},
		{inputs: "half", program: ".id", code: 4, output: "1\n"},
		{inputs: "pretty", program: ".id", output: ids.String()},
		{inputs: "db", program: ".id.a", output: "1\n"},
		{inputs: "db one", program: ".", code: 2, said: "are the elements of that array the objects, or is the line one object?"},
		{inputs: "text", program: ".", code: 2, said: "none of the first 2 lines is JSON"},
		{inputs: "text", flags: "--format lines", program: ".", code: 4, output: ""},
		{inputs: "one", flags: "--format xml", program: ".", code: 2, said: "use format=auto, lines, array, values, csv, tsv or parquet"},
		{inputs: "lines", flags: "--format csv&header=no&columns=a,b,c&types=auto", program: ".a", code: 4, output: "\"[3\"\n"},
		{inputs: "table.csv?types=n:int,s:string", program: "[.n, .s]", output: "[1,\"a,b\"]\n[null,\"2\"]\n"},
		{inputs: "table.csv", program: ".n", output: "\"1\"\n\"\"\n"},
		{inputs: "table.csv?types=x:int", program: ".", code: 2, said: "there is no column \"x\""},
	} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			out := filepath.Join(dir, fmt.Sprintf("out%d", i))
			args := []string{"run", "-o", out, "-m", c.program, "--chunk-size", "2"}
			for input := range strings.FieldsSeq(c.inputs) {
				args = append(args, "-i", filepath.Join(dir, input))
			}
			r := must(t, c.code, append(args, strings.Fields(c.flags)...)...)
			if c.code == 2 {
				wantWords(t, r.err.Error(), c.said)
				return
			}
			wantFile(t, out, c.output)
			must(t, 0, "verify", "-o", out)
			verify := []string{"verify", "-o", out}
			for input := range strings.FieldsSeq(c.inputs) {
				verify = append(verify, "-i", filepath.Join(dir, input))
			}
			must(t, 0, verify...)                                        // with the job's format
			must(t, c.code, append(args, strings.Fields(c.flags)...)...) // already done
			if !strings.Contains(c.inputs, "?") {                        // the format in a name takes precedence
				wantWords(t, must(t, 1, append(args, "--format", "values")...).err.Error(), "another plan")
			}
		})
	}
}

// TestRunCompressed: an output whose name ends in .gz is compressed, its dead letters are not, and verify, dead retry and
// export work with it.
func TestRunCompressed(t *testing.T) {
	t.Parallel()
	d, values, dead := newDepot(t, "job.jsonl.gz", 1000)
	wantGzip := func(path, want string) {
		t.Helper()
		in, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		lines, err := gzip.NewReader(in)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(lines); err != nil || string(got) != want {
			t.Errorf("%s: %.200q (%v), want %.200q", filepath.Base(path), got, err, want)
		}
	}
	wantGzip(d.output, values)
	wantFile(t, filepath.Join(filepath.Dir(d.output), "job.dead.jsonl"), dead)

	exported := filepath.Join(t.TempDir(), "result.jsonl")
	wantWords(t, d.export(t, 2, exported).err.Error(), "application/gzip", "result.jsonl.gz")
	d.export(t, 0, exported+".gz")
	wantGzip(exported+".gz", values)

	output := filepath.Join(t.TempDir(), "other.jsonl.gz") // the depot has the first one open
	must(t, 4, "run", "-i", d.input, "-o", output, "-m", ".n | tonumber")
	must(t, 0, "verify", "-o", output)
	must(t, 0, "dead", "retry", "-o", output, "-m", ".n")
	must(t, 0, "run", "-i", d.input, "-o", output, "-m", ".n | tonumber")
	wantGzip(output, values+"\"a\"\n\"b\"\n")
	must(t, 0, "verify", "-o", output)
}

// TestRunOutputNames: an output that chunkline would not write as its name says is refused, and a password is not shown.
func TestRunOutputNames(t *testing.T) {
	t.Parallel()
	in := write(t, filepath.Join(t.TempDir(), "in.jsonl"), "1\n")
	for output, said := range map[string]string{
		"out.xlsx":                 "out.jsonl.zst",
		"ftp://bucket/key":         "--output ftp://bucket/key: use a file",
		"mysql://me:secret@db/job": "mysql://me:xxxxx@db/job",
	} {
		r := must(t, 2, "run", "-i", in, "-o", output, "-m", ".")
		wantWords(t, r.err.Error(), said)
		if strings.Contains(r.err.Error()+r.stderr, "secret") {
			t.Errorf("%s: the password is shown: %v", output, r.err)
		}
	}
}
