//go:build bench

package bench

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/chunkline/chunkline/internal/transform"
	"github.com/chunkline/chunkline/test/bench/corenats"
	"github.com/chunkline/chunkline/test/proc"
)

var (
	objects = flag.Int("objects", 1_000_000, "users in the input of quick work, 1 or more")
	runs    = flag.Int("runs", 5, "runs of each row, 1 or more")
	rowList = flag.String("rows", "", "rows and groups of rows to measure, as in users-2,waiting; the rows that they are compared with come along; empty: all")
)

// TestMain is also the forwarder of the row floor-own, which maps with the product's
// own transform: TEST_BINARY forward URL.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "forward" {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		err := forwardOwn(ctx, os.Args[2])
		stop()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(proc.Main(m, ""))
}

func forwardOwn(ctx context.Context, url string) error {
	spec, err := transform.Parse("users")
	if err != nil {
		return err
	}
	mapping, err := spec.New()
	if err != nil {
		return err
	}
	defer mapping.Close()
	return corenats.Run(ctx, url, corenats.Forward(func(line, dst []byte) ([]byte, error) { return mapping.Map(ctx, line, dst) }))
}

// TestBench measures each chosen row in turn, -runs times, and prints the tables.
func TestBench(t *testing.T) {
	if *objects < 1 || *runs < 1 {
		t.Fatalf("-objects %d -runs %d: each must be 1 or more", *objects, *runs)
	}
	chosen, err := choose(*rowList)
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{dir: t.TempDir()}
	b.build(t)
	table := newTable(chosen)
	for i := range *runs {
		for _, r := range chosen {
			t.Run(fmt.Sprintf("run %d of %s", i+1, r.name), func(t *testing.T) { table.add(i, r, r.measure(t, b)) })
			if t.Failed() {
				return
			}
		}
	}
	table.print()
}

// bench has what all rows share.
type bench struct {
	dir    string
	floor  string         // the program
	inputs map[int]*input // by number of users
}

func (b *bench) build(t *testing.T) {
	t.Helper()
	b.floor = filepath.Join(b.dir, "floor")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-tags", "bench", "-buildvcs=false", "-o", b.floor, "./floor").CombinedOutput(); err != nil {
		t.Fatalf("build the floor: %v\n%s", err, out)
	}
}
