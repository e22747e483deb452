package proc

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// programs is the folder with the programs under test.
var programs string

// Main builds the programs, nats-server and the checker once, with these build
// tags ("" for none), and runs the tests. For TestMain:
//
//	func TestMain(m *testing.M) { os.Exit(proc.Main(m, "")) }
//
// GOFLAGS reach the build, so a test run with GOFLAGS=-race drives programs
// that look for races, and the mutants come in with -overlay.
func Main(m *testing.M, tags string) int {
	code, err := buildAndRun(m, tags)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

func buildAndRun(m *testing.M, tags string) (code int, err error) {
	programs, err = os.MkdirTemp("", "chunkline-test-")
	if err != nil {
		return 1, fmt.Errorf("make folder for programs: %w", err)
	}
	defer func() { _ = os.RemoveAll(programs) }()
	for _, target := range []string{
		"github.com/chunkline/chunkline/cmd/...",
		"github.com/chunkline/chunkline/test/checker",
		"github.com/nats-io/nats-server/v2",
	} {
		build := exec.Command("go", "build", "-tags", tags, "-o", programs+string(filepath.Separator), target)
		if out, err := build.CombinedOutput(); err != nil {
			return 1, fmt.Errorf("build %s: %w\n%s", target, err, out)
		}
	}
	return m.Run(), nil
}

// track lets go test know what the programs are made of: it takes a result
// from its cache unless a file or folder that the test has opened has changed.
var track = sync.OnceFunc(func() {
	root := ".."
	for _, err := os.Stat(filepath.Join(root, "go.mod")); err != nil; _, err = os.Stat(filepath.Join(root, "go.mod")) {
		root = filepath.Join("..", root)
	}
	for _, dir := range []string{"cmd", "internal"} {
		_ = filepath.WalkDir(filepath.Join(root, dir), func(string, fs.DirEntry, error) error { return nil }) // the walk is all
	}
})

// Path is where a program lies that was built: fetcher, mapper, saver,
// chunkline, checker or nats-server.
func Path(program string) string {
	track()
	return filepath.Join(programs, program)
}
