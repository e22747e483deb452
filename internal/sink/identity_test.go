package sink_test

import (
	"testing"

	"github.com/chunkline/chunkline/internal/sink"
)

// TestIdentity: a sink keeps its identity, and no other sink has it.
func TestIdentity(t *testing.T) {
	t.Parallel()
	open := func(dir string) *sink.Folder {
		f, err := sink.OpenFolder(dir, job, sink.FolderOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	shut := func(f *sink.Folder) string {
		id, _ := f.Identity()
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		return id
	}
	dir := t.TempDir()
	first := shut(open(dir))
	if again := shut(open(dir)); first == "" || again != first {
		t.Errorf("identity %q, opened again %q", first, again)
	}
	if other := shut(open(t.TempDir())); other == first {
		t.Error("two sinks have one identity")
	}
}
