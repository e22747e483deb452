package sink_test

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// sectorSize is the unit that a disk writes atomically.
const sectorSize = 512

// A platter knows which part of a folder is durable, and all changes since; so it can compute what a power cut may leave.
// Its only assumption is that a disk never changes bytes outside the sectors that it writes.
type platter struct {
	home string // is there from the beginning; everything the test makes is in it
	mu   sync.Mutex
	root *node
}

// node is a file or a folder: its durable content, and the changes since its last sync, in order.
type node struct {
	entries map[string]*node // of a folder; nil: it is a file
	moves   []move
	bytes   []byte // of a file
	writes  []change
}

// move is one change of a folder: name now refers to node (nil: is removed), and from, if not "", is removed.
type move struct {
	name, from string
	node       *node
}

// change is one write to a file or, without bytes, a truncation.
type change struct {
	at    int64
	bytes []byte
	lost  bool // a sync of it failed: it is in memory only, and no other sync writes it
}

// newPlatter treats the present content of home as durable.
func newPlatter(t *testing.T, home string) *platter {
	t.Helper()
	return &platter{home: home, root: load(t, home)}
}

func load(t *testing.T, path string) *node {
	t.Helper()
	n := &node{entries: make(map[string]*node)}
	entries, err := os.ReadDir(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		inside := filepath.Join(path, e.Name())
		if e.IsDir() {
			n.entries[e.Name()] = load(t, inside)
			continue
		}
		n.entries[e.Name()] = &node{bytes: read(t, inside)}
	}
	return n
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// names returns the entries of a folder if the moves for which keep is true reach the platter.
func (n *node) names(keep func() bool) map[string]*node {
	names := maps.Clone(n.entries)
	for _, m := range n.moves {
		if !keep() {
			continue
		}
		delete(names, m.from)
		delete(names, m.name)
		if m.node != nil {
			names[m.name] = m.node
		}
	}
	return names
}

func always() bool { return true }

// find returns the node at a path; nil if there is none, or the path is outside home.
func (p *platter) find(path string) *node {
	rel, err := filepath.Rel(p.home, path)
	if err != nil || strings.HasPrefix(rel, "..") {
		return nil
	}
	n := p.root
	for name := range strings.SplitSeq(rel, string(filepath.Separator)) {
		if n == nil || name == "." {
			return n
		}
		n = n.names(always)[name]
	}
	return n
}

// move records a change of the folder that holds path.
func (p *platter) move(path, from string, n *node) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	folder := p.find(filepath.Dir(path))
	if folder == nil {
		return
	}
	m := move{name: filepath.Base(path), node: n}
	if from != "" {
		m.from = filepath.Base(from)
		m.node = p.find(from)
	}
	folder.moves = append(folder.moves, m)
}

// create records that path is opened, and created if it does not exist.
func (p *platter) create(path string, n *node) {
	if p == nil {
		return
	}
	p.mu.Lock()
	there := p.find(path) != nil
	p.mu.Unlock()
	if !there {
		p.move(path, "", n)
	}
}

func (p *platter) change(path string, c change) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := p.find(path); n != nil {
		n.writes = append(n.writes, change{at: c.at, bytes: bytes.Clone(c.bytes)})
	}
}

// lose records that a sync of a file has failed.
func (p *platter) lose(path string) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := p.find(path); n != nil {
		for i := range n.writes {
			n.writes[i].lost = n.writes[i].bytes != nil
		}
	}
}

// sync makes a file or the entries of a folder durable.
func (p *platter) sync(path string) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch n := p.find(path); {
	case n == nil:
	case n.entries != nil:
		n.entries, n.moves = n.names(always), nil
	default:
		n.bytes, n.writes = n.after(dice{names: 1, data: 1, length: 1}), nil
	}
}

// dice are the probabilities that something not yet durable reaches the platter anyway: every change of a folder, every
// sector, every change of a length.
type dice struct {
	rng                 *rand.Rand
	names, data, length float64
}

// The deterministic crashes. A killed process loses nothing.
var (
	nothingLost = dice{names: 1, data: 1, length: 1}
	allLost     = dice{}
	tornToZero  = dice{names: 1, length: 1} // the lengths are durable, the bytes are not
	certain     = []dice{nothingLost, allLost, tornToZero}
)

func (d dice) roll(p float64) bool { return p >= 1 || p > 0 && d.rng.Float64() < p }

// randomDice returns random probabilities, often extreme ones.
func randomDice(rng *rand.Rand) dice {
	p := func() float64 { return []float64{0, 0.1, 0.5, 0.9, 1}[rng.IntN(5)] }
	return dice{rng: rng, names: p(), data: p(), length: p()}
}

// after returns what a power cut leaves of a file: any sectors of every write, every truncation or not.
func (n *node) after(d dice) []byte {
	b := bytes.Clone(n.bytes)
	for _, c := range n.writes {
		if c.lost {
			continue
		}
		if c.bytes == nil {
			if d.roll(d.length) {
				b = resize(b, c.at)
			}
			continue
		}
		if end := c.at + int64(len(c.bytes)); end > int64(len(b)) && d.roll(d.length) {
			b = resize(b, end)
		}
		for from := int64(0); from < int64(len(c.bytes)); {
			to := min((c.at+from)/sectorSize*sectorSize+sectorSize-c.at, int64(len(c.bytes)))
			if d.roll(d.data) {
				b = resize(b, max(int64(len(b)), c.at+to))
				copy(b[c.at+from:], c.bytes[from:to])
			}
			from = to
		}
	}
	return b
}

func resize(b []byte, size int64) []byte {
	if size <= int64(len(b)) {
		return b[:size]
	}
	return append(b, make([]byte, size-int64(len(b)))...)
}

// crash writes to "to" what a power cut at this moment leaves of home.
func (p *platter) crash(t *testing.T, to string, d dice) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.root.leave(t, to, d)
}

// left describes what a power cut at this moment leaves of home: equal descriptions are of equal folders.
func (p *platter) left(d dice) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var text strings.Builder
	p.root.describe(&text, d)
	return text.String()
}

func (n *node) describe(w io.Writer, d dice) {
	if n.entries == nil {
		fmt.Fprintf(w, "%q", n.after(d))
		return
	}
	names := n.names(func() bool { return d.roll(d.names) })
	for _, name := range slices.Sorted(maps.Keys(names)) {
		fmt.Fprintf(w, "%q(", name)
		names[name].describe(w, d)
		fmt.Fprint(w, ")")
	}
}

func (n *node) leave(t *testing.T, to string, d dice) {
	t.Helper()
	if n.entries == nil {
		if err := os.WriteFile(to, n.after(d), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if err := os.MkdirAll(to, 0o755); err != nil {
		t.Fatal(err)
	}
	names := n.names(func() bool { return d.roll(d.names) })
	for _, name := range slices.Sorted(maps.Keys(names)) { // in order, so that the dice are reproducible
		names[name].leave(t, filepath.Join(to, name), d)
	}
}
