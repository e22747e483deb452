package e2e

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// programs is the folder with the programs under test.
var programs string

// seeds is how many random histories the kill test runs.
var seeds = flag.Int("seeds", 3, "random histories of the kill test")

// firstSeed repeats a history that failed: -seed N -seeds 1.
var firstSeed = flag.Int64("seed", 1, "seed of the first history")

func TestMain(m *testing.M) {
	flag.Parse()
	code, err := buildAndRun(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// buildAndRun builds the programs once for all tests.
func buildAndRun(m *testing.M) (code int, err error) {
	programs, err = os.MkdirTemp("", "chunkline-e2e-")
	if err != nil {
		return 1, err
	}
	defer func() { _ = os.RemoveAll(programs) }()
	for _, target := range []string{"./../../cmd/...", "github.com/nats-io/nats-server/v2"} {
		build := exec.Command("go", "build", "-o", programs+string(filepath.Separator), target)
		if out, err := build.CombinedOutput(); err != nil {
			return 1, fmt.Errorf("build %s: %w\n%s", target, err, out)
		}
	}
	return m.Run(), nil
}
