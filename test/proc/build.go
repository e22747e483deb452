package proc

import (
	"errors"
	"flag"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// programs is the folder with the programs under test.
var programs string

// Main builds the programs, nats-server and the checker with these build tags
// ("" for none), and runs the tests. For TestMain:
//
//	func TestMain(m *testing.M) { os.Exit(proc.Main(m, "")) }
//
// The programs are in bin/test/, and the packages of one go test share them: the first package
// builds them, the others find them up to date.
//
// These tests mostly wait, so up to 16 that call t.Parallel run at a time, whatever the number of
// processors. -parallel overrides this, and so does a TestMain that parses the flags itself.
//
// GOFLAGS apply to the build, so a test run with GOFLAGS=-race runs programs with the race
// detector. The mutants use -overlay; their programs are in a temporary folder.
func Main(m *testing.M, tags string) int {
	remove, err := build(tags)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer remove()
	if !flag.Parsed() { // else it would override the command line
		if err := flag.Set("test.parallel", "16"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return m.Run()
}

// build builds the programs. remove deletes those that no other test can use.
func build(tags string) (remove func(), err error) {
	flags := os.Getenv("GOFLAGS")
	if strings.Contains(flags, "-overlay") {
		programs, err = os.MkdirTemp("", "chunkline-test-")
		if err != nil {
			return nil, fmt.Errorf("make folder for programs: %w", err)
		}
		return func() { _ = os.RemoveAll(programs) }, compile(tags)
	}
	root, err := moduleRoot()
	if err != nil {
		return nil, err
	}
	programs = filepath.Join(root, "bin", "test", variant(tags, flags))
	if err := os.MkdirAll(programs, 0o755); err != nil {
		return nil, fmt.Errorf("make folder for programs: %w", err)
	}
	lock, err := os.OpenFile(programs+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock folder of programs: %w", err)
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil { // until lock is closed
		return nil, fmt.Errorf("lock folder of programs: %w", err)
	}
	return func() {}, compile(tags)
}

// variant names the folder of the programs that are built with tags and flags. How many packages go test builds and
// tests at a time, and whether it vets them, changes no program.
func variant(tags, flags string) string {
	flags = strings.Join(slices.DeleteFunc(strings.Fields(flags), func(flag string) bool {
		return strings.HasPrefix(flag, "-p=") || strings.HasPrefix(flag, "-vet=")
	}), " ")
	switch {
	case flags == "" && tags == "":
		return "plain"
	case flags == "":
		return tags
	}
	sum := fnv.New32a()
	_, _ = sum.Write([]byte(tags + " " + flags)) // it never fails
	return fmt.Sprintf("%08x", sum.Sum32())
}

// compile builds the programs that are not up to date. Linking is faster without debug information.
// Without the commit's name, it is not needed after each commit.
func compile(tags string) error {
	args := []string{
		"build", "-tags", tags, "-ldflags=-s -w", "-buildvcs=false", "-o", programs + string(filepath.Separator),
		"github.com/chunkline/chunkline/cmd/...", "github.com/chunkline/chunkline/test/checker", "github.com/nats-io/nats-server/v2",
	}
	if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}

func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the module: %w", err)
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
	}
	return "", errors.New("find the module: no folder above has a go.mod")
}

// track makes go test depend on the programs' source: go test reuses a cached result unless a file
// or folder that the test opened has changed.
var track = sync.OnceFunc(func() {
	root, err := moduleRoot()
	if err != nil {
		return // build has found it
	}
	for _, dir := range []string{"cmd", "internal"} {
		_ = filepath.WalkDir(filepath.Join(root, dir), func(string, fs.DirEntry, error) error { return nil }) // the walk is enough
	}
})

// Path returns the path of a program that was built: fetcher, mapper, saver, chunkline, checker or
// nats-server. It returns an absolute path unchanged.
func Path(program string) string {
	if filepath.IsAbs(program) {
		return program
	}
	track()
	return filepath.Join(programs, program)
}
