//go:build bench

package bench

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/chunkline/chunkline/internal/source"
	"github.com/chunkline/chunkline/internal/transform"
)

// input is a file of users and the fingerprints of its results.
type input struct {
	path   string
	mapped fingerprint // by the transform users
	same   fingerprint // by the transform identity
}

// users returns a file of n users, which the first call creates.
func (b *bench) users(t *testing.T, n int) *input {
	t.Helper()
	if in := b.inputs[n]; in != nil {
		return in
	}
	in := &input{path: filepath.Join(b.dir, fmt.Sprintf("users-%d.jsonl", n))}
	file, err := os.Create(in.path)
	if err != nil {
		t.Fatal(err)
	}
	err = source.WriteUsers(t.Context(), file, n, 1)
	if e := file.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = in.expect(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	if b.inputs == nil {
		b.inputs = map[int]*input{}
	}
	b.inputs[n] = in
	return in
}

func (in *input) expect(ctx context.Context) error {
	spec, err := transform.Parse("users")
	if err != nil {
		return err
	}
	mapping, err := spec.New()
	if err != nil {
		return err
	}
	defer mapping.Close()
	mapped, same := newTaker(), newTaker()
	var output []byte
	err = eachLine(in.path, func(line []byte) (err error) {
		if output, err = mapping.Map(ctx, bytes.TrimSuffix(line, []byte{'\n'}), output[:0]); err != nil {
			return fmt.Errorf("map input: %w", err)
		}
		mapped.take(output)
		same.take(line)
		return ctx.Err()
	})
	in.mapped, in.same = mapped.done(), same.done()
	return err
}

// check fails the test unless a file is the result: of the transform users if mapped,
// else of identity; in the order of the input if ordered.
func (in *input) check(t *testing.T, path string, mapped, ordered bool) {
	t.Helper()
	want := in.same
	if mapped {
		want = in.mapped
	}
	got, err := fingerprintOf(path)
	if err == nil {
		err = want.check(got, ordered)
	}
	if err != nil {
		t.Fatalf("the result is wrong: %v", err)
	}
}
