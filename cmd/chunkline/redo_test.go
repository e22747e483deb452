package main

import (
	"path/filepath"
	"testing"
)

// TestRedo: redo removes the results of a bad transform, and the next run maps the objects again.
func TestRedo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	objects, values := numbers(250)
	in, out := write(t, filepath.Join(dir, "in"), objects), filepath.Join(dir, "out.jsonl")
	must(t, 0, "run", "-i", in, "-o", out, "-m", ".n + 1")
	wantWords(t, must(t, 2, "run", "-i", in, "-o", out, "-m", ".n").err.Error(), "begun with the transform jq:.n + 1")

	wantWords(t, must(t, 0, "redo", "-o", out, "--version", "v9").stdout, `no chunk was produced by version "v9"`)
	must(t, 0, "verify", "-o", out)
	wantWords(t, must(t, 0, "redo", "-o", out, "--version", "jq:.n + 1").stdout, "requeued 250 objects in 3 chunks: removed 250 outputs and 0 dead letters")
	wantWords(t, must(t, 0, "redo", "-o", out, "--version", "jq:.n + 1").stdout, `no chunk of version "jq:.n + 1" is left: an earlier redo removed them`)
	must(t, 1, "verify", "-o", out)
	must(t, 0, "run", "-i", in, "-o", out, "-m", ".n")
	wantFile(t, out, values)
	must(t, 0, "verify", "-o", out)

	wantWords(t, must(t, 0, "redo", "-o", out, "--version", "jq:.n", "--json").stdout, `{"chunks":3,"objects":250,"outputs":250,"dead":0}`)
	must(t, 2, "redo", "-o", out)
	must(t, 2, "redo", "--version", "v1")
}

// TestRedo_afterRetry: dead retry makes only the objects that it maps results of its program; redo removes all others
// that the old one has made.
func TestRedo_afterRetry(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	objects, values := numbers(250)
	in, out := write(t, filepath.Join(dir, "in"), objects), filepath.Join(dir, "out.jsonl")
	old := `if .n % 50 == 7 then error("bad") else .n + 1000 end`
	must(t, 4, "run", "-i", in, "-o", out, "-m", old)
	must(t, 0, "dead", "retry", "-o", out, "-m", ".n")
	wantWords(t, must(t, 0, "verify", "-o", out).stdout, "version jq:.n: 5 outputs, 0 dead letters of 3 chunks", "250 outputs, 0 dead letters, 0 problems")
	wantWords(t, must(t, 0, "redo", "-o", out, "--version", "jq:"+old).stdout, "requeued 245 objects in 3 chunks")
	must(t, 0, "run", "-i", in, "-o", out, "-m", ".n")
	wantFile(t, out, values)
	must(t, 0, "verify", "-o", out)
}
