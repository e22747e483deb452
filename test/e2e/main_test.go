package e2e

import (
	"flag"
	"os"
	"testing"

	"github.com/chunkline/chunkline/test/proc"
)

// seeds is how many random histories the kill test runs.
var seeds = flag.Int("seeds", 3, "random histories of the kill test")

// firstSeed repeats a history that failed: -seed N -seeds 1.
var firstSeed = flag.Int64("seed", 1, "seed of the first history")

func TestMain(m *testing.M) { os.Exit(proc.Main(m, "")) }
