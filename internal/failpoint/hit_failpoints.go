//go:build failpoints

package failpoint

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

const variable = "CHUNKLINE_FAILPOINT"

var (
	deadly = parse(os.Getenv(variable)) // name → the hit that kills; read-only
	hits   = counters()                 // name → hits so far; the map is read-only
)

// Hit marks a place in the code with one of Names. It kills the process if the environment says so.
func Hit(name string) {
	count, known := hits[name]
	if !known {
		panic("failpoint: " + name + " is not among the names")
	}
	n := count.Add(1)
	if n != deadly[name] {
		return
	}
	fmt.Fprintf(os.Stderr, "failpoint %s:%d\n", name, n) // a file or a pipe, not a buffer
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {} // nothing after it runs
}

func counters() map[string]*atomic.Int64 {
	all := make(map[string]*atomic.Int64, len(Names))
	for _, name := range Names {
		all[name] = new(atomic.Int64)
	}
	return all
}

// parse reads name:hit[,name:hit]. It panics on an error: with a misspelt name no process would be killed, and the test
// would pass.
func parse(list string) map[string]int64 {
	at := map[string]int64{}
	if list == "" {
		return at
	}
	for item := range strings.SplitSeq(list, ",") {
		name, hit, _ := strings.Cut(item, ":")
		n, err := strconv.ParseInt(hit, 10, 64)
		if err != nil || n < 1 || !slices.Contains(Names, name) {
			panic(fmt.Sprintf("%s: %q is not NAME:HIT with one of the names and a hit from 1", variable, item))
		}
		at[name] = n
	}
	return at
}
