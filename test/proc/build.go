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
// The programs lie in bin/test/, and the packages of one go test share them:
// the first package builds, the others find the programs up to date.
//
// These tests wait most of the time, so 16 of those that say t.Parallel run at
// a time, however few processors there are. -parallel says otherwise, and so
// does a TestMain that parses the flags itself.
//
// GOFLAGS reach the build, so a test run with GOFLAGS=-race drives programs
// that look for races. The mutants come in with -overlay; their programs lie
// in a temporary folder.
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

// build builds the programs. Remove deletes what no other test can use.
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

// variant names the folder of the programs that are built with tags and flags.
func variant(tags, flags string) string {
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

// compile builds what is not up to date. Linking is quicker without debug
// information, and without the commit's name it is not needed after each commit.
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

// track lets go test know what the programs are made of: it takes a result
// from its cache unless a file or folder that the test has opened has changed.
var track = sync.OnceFunc(func() {
	root, err := moduleRoot()
	if err != nil {
		return // build has found it
	}
	for _, dir := range []string{"cmd", "internal"} {
		_ = filepath.WalkDir(filepath.Join(root, dir), func(string, fs.DirEntry, error) error { return nil }) // the walk is all
	}
})

// Path is where a program lies that was built: fetcher, mapper, saver,
// chunkline, checker or nats-server. An absolute path stays what it is.
func Path(program string) string {
	if filepath.IsAbs(program) {
		return program
	}
	track()
	return filepath.Join(programs, program)
}
