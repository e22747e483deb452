//go:build long

package crash

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/chunkline/chunkline/test/proc"
)

var hits = flag.Int("hits", 1, "how often each failpoint is tried: the first so many times that a process comes there. 3: also every pair of a commit and a recovery, and every second run")

// full reports whether everything is tried, including what takes long.
func full() bool { return *hits >= 3 }

func TestMain(m *testing.M) { os.Exit(proc.Main(m, "failpoints")) }

const (
	objects   = 600
	chunkSize = 15
	badEvery  = 10 // each such object cannot be mapped, so every chunk has dead letters
)

// world is what all jobs of a test share.
type world struct {
	nats, source string
	dead         string // the ordinals of the objects that cannot be mapped
	jobs         atomic.Int64
}

func newWorld(t *testing.T) *world {
	t.Helper()
	dir := t.TempDir()
	users, err := os.ReadFile(proc.Users(t, dir, objects))
	if err != nil {
		t.Fatal(err)
	}
	w := &world{source: filepath.Join(dir, "source.jsonl")}
	var text bytes.Buffer
	var dead []string
	lines := bufio.NewScanner(bytes.NewReader(users))
	for i := 0; lines.Scan(); i++ {
		if i%badEvery == 0 {
			fmt.Fprintf(&text, "{\"nobody\":%d}\n", i)
			dead = append(dead, fmt.Sprint(i))
			continue
		}
		fmt.Fprintf(&text, "%s\n", lines.Bytes())
	}
	if len(dead) != objects/badEvery {
		t.Fatalf("the source has %d bad objects, want %d", len(dead), objects/badEvery)
	}
	if err := os.WriteFile(w.source, text.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	w.dead = strings.Join(dead, ",")
	server := proc.NewJob(t, "crash")
	server.NATS()
	w.nats = server.URL
	return w
}

// some returns every sixteenth case and the last one; all of them if everything is tried.
func some[C any](cases []C) []C {
	if full() {
		return cases
	}
	var fewer []C
	for i := 0; i < len(cases)-1; i += 16 {
		fewer = append(fewer, cases[i])
	}
	return append(fewer, cases[len(cases)-1])
}

// each runs do for all cases, as many at a time as proc.Main allows, and returns when all have
// ended.
func each[C any](t *testing.T, cases []C, name func(C) string, do func(*testing.T, C)) {
	t.Helper()
	t.Run("at", func(t *testing.T) {
		for _, c := range cases {
			t.Run(name(c), func(t *testing.T) {
				t.Parallel()
				do(t, c)
			})
		}
	})
}
