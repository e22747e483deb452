//go:build long

package chaos

import (
	"flag"
	"os"
	"testing"
	"time"

	"github.com/chunkline/chunkline/test/proc"
)

var (
	length    = flag.Duration("for", 0, "how long random histories are begun, one after the other; one at least")
	firstSeed = flag.Uint64("seed", 1, "seed of the first random history; the next ones count up")
	freeze    = flag.Duration("freeze", 10*time.Second, "how long NATS is frozen, at least until all roles have noticed")
	keep      = flag.String("keep", "", "folder for the files of jobs that failed, whole logs among them; empty: the ends of the logs are printed")
)

func TestMain(m *testing.M) { os.Exit(proc.Main(m, "")) }
