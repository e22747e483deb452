package main

import (
	"os"
	"path/filepath"
	"testing"
)

// TestRunStdout_full: a full disk behind standard output fails the job, and the next run writes everything.
func TestRunStdout_full(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	objects, values := numbers(250)
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	args := []string{"run", "-i", write(t, filepath.Join(dir, "in"), objects), "-o", "-", "--work", filepath.Join(dir, "work"), "-m", ".n"}
	r := runTo(t.Context(), full, args...)
	r.want(t, 1)
	wantWords(t, r.err.Error(), "write outputs to standard output", "no space left on device")
	if r := must(t, 0, args...); r.stdout != values {
		t.Errorf("stdout has %d bytes, want %d", len(r.stdout), len(values))
	}
}
