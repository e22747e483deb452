package chaos

import (
	"flag"
	"os"
	"testing"
	"time"

	"github.com/chunkline/chunkline/test/proc"
)

var (
	length    = flag.Duration("for", 15*time.Second, "how long random histories are begun, one after the other; one at least")
	firstSeed = flag.Uint64("seed", 1, "seed of the first random history; the next ones count up")
	freeze    = flag.Duration("freeze", 20*time.Second, "how long NATS is frozen; the roles notice within 15 s")
	keep      = flag.String("keep", "", "folder for the whole logs of jobs that failed; empty: the ends of them are printed")
)

func TestMain(m *testing.M) { os.Exit(proc.Main(m, "")) }
