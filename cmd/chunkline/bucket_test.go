package main

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"github.com/chunkline/chunkline/internal/bucket/buckettest"
)

// TestBucketOutput: every command works with a bucket in place of the output file.
func TestBucketOutput(t *testing.T) {
	backend := buckettest.StartS3(t, nil)
	t.Chdir(t.TempDir())
	objects, values := numbers(250)
	in, out := write(t, "in", objects), "s3://data/out"
	r := must(t, 4, "run", "-i", in, "-o", out+"?format=jsonl.gz", "-m", `if .n == 7 then error("seven") else .n end`, "--json").report(t)
	if r.Outputs != 249 || r.Dead != 1 || r.Output != "s3://data/out/part-*.jsonl.gz" || r.DeadFile != "s3://data/out/_dead-*.jsonl.gz" {
		t.Errorf("report is %+v", r)
	}
	wantWords(t, must(t, 0, "dead", "list", "-o", out).stdout, `"ordinal":7,"chunk":0`, "seven", `"object":{"n":7}`)
	must(t, 0, "verify", "-o", out)
	wantWords(t, must(t, 2, "run", "-i", in, "-o", out, "-m", ".n").err.Error(), "was begun with the transform")
	part := findParts(t, backend)[0]
	if _, err := backend.PutObject("data", part, map[string]string{}, strings.NewReader("changed"), 7, nil); err != nil {
		t.Fatal(err)
	}
	wantWords(t, must(t, 1, "verify", "-o", out).stdout, "wrong: read s3://data/"+part)
	must(t, 0, "dead", "retry", "-o", out, "-m", ".n")
	must(t, 0, "verify", "-o", out)
	again := must(t, 0, "run", "-i", in, "-o", out+"?format=jsonl.gz", "-m", ".n", "--accept-change", "--json").report(t)
	if again.Resumed != 250 || again.Dead != 0 || again.Output != r.Output || again.DeadFile != "" {
		t.Errorf("a run of what is done reports %+v", again)
	}
	must(t, 0, "run", "-i", r.Output, "-o", "copy", "-m", ".") // the result is input of another job
	if got, err := os.ReadFile("copy"); err != nil || string(got) != values {
		t.Errorf("the result is %.200q, %v; want %.200q", got, err, values)
	}
	wantWords(t, must(t, 0, "redo", "-o", out, "--version", "jq:.n").stdout, "objects in 1 chunks")
	must(t, 1, "verify", "-o", out)
	must(t, 0, "run", "-i", in, "-o", out, "-m", ".n", "--accept-change")
	must(t, 0, "verify", "-o", out, "--job", "run")

	wantWords(t, must(t, 1, "run", "-i", "copy", "-o", out, "-m", ".n", "--accept-change").err.Error(), "sink was begun with another plan: s3://data/out (250 objects are saved in it) belongs to it, so choose another --output; it was begun with")
	wantWords(t, must(t, 1, "run", "-i", in, "-o", out, "-m", ".n", "--job", "second").err.Error(), "it holds job run, not second")
	wantWords(t, must(t, 2, "run", "-i", in, "-o", out, "-m", ".n", "--force").err.Error(), "--force is for output files")
	wantWords(t, must(t, 2, "verify", "-o", out, "--job", "second").err.Error(), "it holds job run, not second")
	wantWords(t, must(t, 2, "verify", "-o", "s3://data/none").err.Error(), "no object matches s3://data/none/")
	wantWords(t, must(t, 3, "verify", "-o", "s3://nosuch/none").err.Error(), "AWS_ENDPOINT_URL")
	wantWords(t, must(t, 2, "run", "-i", in, "-o", "s3://data/new?format=orc", "-m", ".").err.Error(), "format=orc: use jsonl")
	if _, err := backend.HeadObject("data", "new/.chunkline/log/00000000000000000001"); err == nil {
		t.Error("a refused run has made a sink")
	}
}

// findParts returns the keys of the parts with outputs.
func findParts(t *testing.T, backend *s3mem.Backend) (keys []string) {
	t.Helper()
	list, err := backend.ListBucket("data", &gofakes3.Prefix{HasPrefix: true, Prefix: "out/part-"}, gofakes3.ListBucketPage{})
	if err != nil || len(list.Contents) == 0 {
		t.Fatalf("no part: %v", err)
	}
	for _, object := range list.Contents {
		keys = append(keys, object.Key)
	}
	return keys
}

// TestBucketTable: the parts may be tables, and all commands work with them.
func TestBucketTable(t *testing.T) {
	for _, format := range []string{"parquet", "csv.gz"} {
		t.Run(format, func(t *testing.T) {
			backend := buckettest.StartS3(t, nil)
			t.Chdir(t.TempDir())
			var objects strings.Builder
			random, text := rand.NewChaCha8([32]byte{}), make([]byte, 6000) // compresses badly, so that there are several parts
			for n := range 300 {
				_, _ = random.Read(text) // it never fails
				fmt.Fprintf(&objects, "{\"n\":%d,\"text\":%q}\n", n, base64.StdEncoding.EncodeToString(text))
			}
			in, out := write(t, "in", objects.String()), "s3://data/out"
			transform := `if .n == 7 then "no row" else . end`
			r := must(t, 4, "run", "-i", in, "-o", out+"?size=1MiB&format="+format, "-m", transform, "--json").report(t)
			if r.Outputs != 299 || r.Dead != 1 {
				t.Errorf("report is %+v", r)
			}
			if parts := findParts(t, backend); len(parts) < 2 {
				t.Errorf("there is only %q", parts)
			}
			must(t, 0, "verify", "-o", out)
			must(t, 0, "dead", "retry", "-o", out, "-m", ".")
			must(t, 0, "verify", "-o", out)
			must(t, 0, "run", "-i", r.Output, "-o", "copy", "-t", "identity")
			if got, err := os.ReadFile("copy"); err != nil || format == "parquet" && string(got) != objects.String() || strings.Count(string(got), "\n") != 300 {
				t.Errorf("the result is %.200q, %v", got, err)
			}
		})
	}
}

// Standard input is kept in a folder of this sink's own.
func TestBucketStdin(t *testing.T) {
	buckettest.StartS3(t, nil)
	t.Chdir(t.TempDir())
	for _, prefix := range []string{"a/b", "a/c"} {
		objects, _ := numbers(len(prefix) + strings.Count(prefix, "c"))
		r := chunklineWith(t.Context(), strings.NewReader(objects), "run", "-o", "s3://data/"+prefix, "-m", ".n", "--json")
		if want := uint64(strings.Count(objects, "\n")); r.code != 0 || r.report(t).Objects != want {
			t.Errorf("%s: %+v, want %d objects", prefix, r, want)
		}
		must(t, 0, "verify", "-o", "s3://data/"+prefix)
		if _, err := os.Stat(filepath.Join("data-"+strings.ReplaceAll(prefix, "/", "-")+".run.chunkline", spoolFile)); err != nil {
			t.Error(err)
		}
	}
}

// TestObjectStoragePage runs the examples of docs/sinks.md for object storage, one for each kind.
func TestObjectStoragePage(t *testing.T) {
	page, err := os.ReadFile("../../docs/sinks.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "## Object storage\n")
	t.Run("s3", func(t *testing.T) {
		buckettest.StartS3(t, nil)
		runExample(t, section, "AWS_")
	})
	for _, kind := range buckettest.Kinds {
		t.Run(strings.TrimSuffix(kind.Scheme, "://"), func(t *testing.T) {
			kind.Start(t, nil)
			runExample(t, section, map[string]string{"gs://": "GOOGLE_", "azblob://": "AZURE_"}[kind.Scheme])
		})
	}
}

// runExample runs the commands of the example whose first line sets variables with this beginning, except that line.
func runExample(t *testing.T, section, variables string) {
	t.Helper()
	t.Chdir(t.TempDir())
	must(t, 0, "generate", "users", "-n", "1000", "-o", "users.jsonl")
	block := regexp.MustCompile("(?s)```\nexport " + variables + ".*?\n(.*?)```").FindStringSubmatch(section)
	if block == nil {
		t.Fatal("the page has no example")
	}
	for line := range strings.Lines(block[1]) {
		args, err := exec.Command("sh", "-c", "chunkline() { printf '%s\\n' \"$@\"; }\n"+line).Output()
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		must(t, 0, strings.Split(strings.TrimSuffix(string(args), "\n"), "\n")...)
	}
	ids, err := os.ReadFile("ids.jsonl")
	if err != nil || strings.Count(string(ids), "\n") != 1000 {
		t.Errorf("ids.jsonl has %d lines, %v", strings.Count(string(ids), "\n"), err)
	}
}
