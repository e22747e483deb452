//go:build long && netns

package chaos

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/chunkline/chunkline/test/proc"
)

// TestInit: as process 1 of a PID namespace, as in a container, chunkline reaps the
// processes that its programs leave behind. At each object the program prints the
// number of zombies.
func TestInit(t *testing.T) {
	t.Parallel()
	const objects = 500
	dir := t.TempDir()
	in, out := filepath.Join(dir, "in.jsonl"), filepath.Join(dir, "out.jsonl")
	var source strings.Builder
	for i := range objects {
		fmt.Fprintf(&source, "{\"n\":%d}\n", i)
	}
	if err := os.WriteFile(in, []byte(source.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "map.sh")
	script := `while read -r line; do
  (: &)
  count=0
  for file in /proc/[0-9]*/stat; do
    read -r pid name state parent rest <"$file" 2>/dev/null && [ "$state" = Z ] && [ "$parent" = 1 ] && count=$((count+1))
  done
  echo "$count"
done
exit 0
`
	if err := os.WriteFile(program, []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	// With one worker and small chunks, at most a chunk of zombies waits to be reaped.
	cmd := exec.CommandContext(t.Context(), "unshare", "--pid", "--fork", "--mount-proc", "--kill-child",
		proc.Path("chunkline"), "run", "-i", in, "-o", out, "-j", "1", "--chunk-size", "10", "--exec", "sh "+program)
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	text, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	seen, most := 0, 0
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); seen++ {
		count, err := strconv.Atoi(lines.Text())
		if err != nil {
			t.Fatal(err)
		}
		most = max(most, count)
	}
	if seen != objects || most > objects/10 {
		t.Errorf("got %d answers and up to %d processes that were not reaped, want %d and at most %d", seen, most, objects, objects/10)
	}
}
