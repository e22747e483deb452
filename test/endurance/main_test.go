//go:build endurance && linux

package endurance

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chunkline/chunkline/test/proc"
)

var (
	objects = flag.Int("objects", 200_000, "users in the input, 100,000 or more")
	rate    = flag.Int("rate", 8000, "objects handed out a second; 0: no limit")
	mappers = flag.Int("mappers", 6, "mappers, 3 or more; every other one is killed now and then")
)

func TestMain(m *testing.M) { os.Exit(proc.Main(m, "")) }

// TestFlat runs the long job with its faults, and checks that no process has grown.
func TestFlat(t *testing.T) {
	if *objects < 100_000 || *rate < 0 || *mappers < 3 {
		t.Fatalf("-objects %d -rate %d -mappers %d: use 100000 or more, 0 or more, 3 or more", *objects, *rate, *mappers)
	}
	w := newWorld(t)
	fmt.Printf("%d objects in %d chunks, RATE=%d, %d mappers\n", *objects, chunks(), *rate, *mappers)
	begin := time.Now()
	last := w.watch()
	took := time.Since(begin)
	w.fetcher.Signal(syscall.SIGINT)
	code := w.fetcher.Exit()
	w.saver.Kill() // verify needs the folder's lock
	fmt.Printf("the job took %s, exit code %d\n\n%s\n", took.Round(time.Second), code, w.faults(last))
	for _, grown := range w.grown() {
		t.Error(grown)
	}
	if dead := uint64(len(w.dead)); code != exitDead || last.Objects.Dead != dead || last.Objects.Saved != uint64(*objects) {
		t.Errorf("exit code %d, %d saved, %d dead; want %d, %d, %d", code, last.Objects.Saved, last.Objects.Dead, exitDead, *objects, dead)
	}
	w.Verify(strings.Join(w.dead, ","))
}
