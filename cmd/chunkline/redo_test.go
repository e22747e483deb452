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
	must(t, 1, "verify", "-o", out)
	must(t, 0, "run", "-i", in, "-o", out, "-m", ".n")
	wantFile(t, out, values)
	must(t, 0, "verify", "-o", out)

	wantWords(t, must(t, 0, "redo", "-o", out, "--version", "jq:.n", "--json").stdout, `{"chunks":3,"objects":250,"outputs":250,"dead":0}`)
	must(t, 2, "redo", "-o", out)
	must(t, 2, "redo", "--version", "v1")
}
