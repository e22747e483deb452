//go:build long

package crash

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chunkline/chunkline/internal/failpoint"
	"github.com/chunkline/chunkline/test/proc"
)

// TestNormalBuild: a program built without the tag contains no failpoint, not even the name of one.
// chunkline contains all roles.
func TestNormalBuild(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "chunkline")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", path, "github.com/chunkline/chunkline/cmd/chunkline").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	normal, failing := read(t, path), read(t, proc.Path("chunkline"))
	for _, name := range append([]string{"CHUNKLINE_FAILPOINT"}, failpoint.Names...) {
		if bytes.Contains(normal, []byte(name)) {
			t.Errorf("a normal build holds %s", name)
		}
		if !bytes.Contains(failing, []byte(name)) {
			t.Errorf("a build with failpoints does not hold %s: this test cannot see them", name)
		}
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestUnknownName: an invalid name or hit ends the program; otherwise it would run, and nothing
// would kill it.
func TestUnknownName(t *testing.T) {
	t.Parallel()
	for _, wrong := range []string{"saver.nowhere:1", "saver.serving", "saver.serving:0", "saver.serving:x", "saver.serving:1,", ":1"} {
		t.Run(wrong, func(t *testing.T) {
			t.Parallel()
			_, stderr, code := proc.Run(t, []string{"CHUNKLINE_FAILPOINT=" + wrong}, "saver", "-h")
			if code != 2 || !strings.Contains(stderr, "CHUNKLINE_FAILPOINT") {
				t.Errorf("exit code %d, want 2 and the variable's name: %s", code, stderr)
			}
		})
	}
}
