//go:build bench

package bench

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"testing"

	"github.com/chunkline/chunkline/test/proc"
)

var (
	objects = flag.Int("objects", 1_000_000, "users in the input, 1 or more")
	mappers = flag.Int("mappers", 10, "mappers and forwarders, 1 or more")
	runs    = flag.Int("runs", 3, "runs of each side, 1 or more")
)

// TestMain is also the roles of the bare side: TEST_BINARY bare ROLE URL FILE.
func TestMain(m *testing.M) {
	if len(os.Args) == 5 && os.Args[1] == "bare" {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
		err := bareRole{os.Args[2], os.Args[3], os.Args[4]}.run(ctx)
		stop()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(proc.Main(m, ""))
}

// TestBench makes the input, runs both sides in turn and prints the report.
func TestBench(t *testing.T) {
	if *objects < 1 || *mappers < 1 || *runs < 1 {
		t.Fatalf("-objects %d -mappers %d -runs %d: each must be 1 or more", *objects, *mappers, *runs)
	}
	input := filepath.Join(t.TempDir(), "users.jsonl")
	generate(t, input, *objects)
	want, err := expected(t.Context(), input)
	if err != nil {
		t.Fatal(err)
	}
	report := newReport()
	for i := range *runs {
		for _, s := range []side{chunklineSide, bareSide} {
			t.Run(fmt.Sprintf("run %d of %s", i+1, s.name), func(t *testing.T) { report.add(i, s, measure(t, s, input, want)) })
			if t.Failed() {
				return
			}
		}
	}
	report.print()
}
