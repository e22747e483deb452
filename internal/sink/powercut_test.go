package sink_test

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/sink/sinktest"
)

var (
	crashSeed  = flag.Uint64("crash.seed", 1, "first seed of the random crashes")
	crashSeeds = flag.Int("crash.seeds", 20, "how many seeds of random crashes")
)

// TestRandomCrashes interrupts a folder up to four times, at any step or in the middle of a write, by a kill or a power
// cut, on a disk that is sometimes full or fails a sync; later crashes may interrupt the recovery from earlier ones.
// After a power cut any part of the unsynced data may remain. In the end every result is there once.
//
// Repeat with: go test ./internal/sink -run TestRandomCrashes -crash.seeds 1 -crash.seed SEED.
func TestRandomCrashes(t *testing.T) {
	t.Parallel()
	var total crashCounts
	t.Run("seeds", func(t *testing.T) {
		for i := range *crashSeeds {
			seed := *crashSeed + uint64(i)
			t.Run(fmt.Sprint(seed), func(t *testing.T) {
				t.Parallel()
				total.add(crashRandomly(t, seed))
			})
		}
	})
	t.Logf("%+v", total.crashes)
	if *crashSeeds >= 100 && (total.Kills == 0 || total.Cuts == 0 || total.Full == 0 || total.Torn == 0 || total.Unsynced == 0 || total.Recovering == 0) {
		t.Errorf("some kind of crash never happened: %+v", total.crashes)
	}
}

// crashes counts the faults that occurred.
type crashes struct {
	Kills, Cuts, Full, Torn, Unsynced, Recovering int
}

type crashCounts struct {
	mu sync.Mutex
	crashes
}

func (c *crashCounts) add(o crashes) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.Kills += o.Kills
	c.Cuts += o.Cuts
	c.Full += o.Full
	c.Recovering += o.Recovering
	c.Torn += o.Torn
	c.Unsynced += o.Unsynced
}

// randomStory has groups and pieces of all sizes in parts of all sizes.
func randomStory(rng *rand.Rand) story {
	var counts [][]int
	for range 6 + rng.IntN(20) {
		objects := make([]int, 1+rng.IntN(4))
		for i := range objects {
			objects[i] = rng.IntN(6) - 1
		}
		counts = append(counts, objects)
	}
	s := story{all: cutSome(rng, sinktest.Chain("one", counts...)), o: sink.FolderOptions{PartBytes: 50 + rng.Int64N(2000)}}
	s.output = []string{"output.jsonl", "output.jsonl.gz", "output.csv", "output.parquet"}[rng.IntN(4)]
	if rng.IntN(4) == 0 { // long ones, so that writes can tear between sectors
		s.output = "output.jsonl" // their outputs are no rows
		last := len(s.all) - 1
		s.all = append(s.all, big(s.all[last].Chunk+1, s.all[last].First+uint64(s.all[last].Objects), 1+rng.IntN(5000)))
	}
	left := append([]sink.Result(nil), s.all...)
	rng.Shuffle(len(left), func(i, j int) { left[i], left[j] = left[j], left[i] })
	for len(left) > 0 {
		n := min(len(left), 1+rng.IntN(5))
		s.groups = append(s.groups, left[:n])
		left = left[n:]
	}
	return s
}

// crashRandomly runs one history.
func crashRandomly(t *testing.T, seed uint64) (counts crashes) {
	rng := rand.New(rand.NewPCG(seed, 0))
	s := randomStory(rng)
	home := t.TempDir()
	disk := newCrashFS(t, home)
	var known confirmed
	for range 1 + rng.IntN(4) {
		fate := newFate(rng, disk)
		err := s.live(t, disk, filepath.Join(home, "deep", "sink"), &known)
		if err != nil && !errors.Is(err, errKilled) {
			t.Fatalf("the folder failed without a fault: %v", err)
		}
		counts.Full += fate.fulls
		if disk.dead {
			counts.Torn += fate.torn
			counts.Unsynced += fate.unsynced
			counts.Recovering += fate.recovering(err)
		}
		if rng.IntN(3) == 0 {
			counts.Kills++
			disk.dead = false
			continue
		}
		counts.Cuts++
		to := t.TempDir()
		disk.platter.crash(t, to, randomDice(rng))
		home, disk = to, newCrashFS(t, to)
	}
	disk.before = newTestFS().before
	dir := filepath.Join(home, "deep", "sink")
	if err := s.live(t, disk, dir, &known); err != nil {
		t.Fatalf("after the last power cut: %v", err)
	}
	f := openOn(t, disk, dir, s.in(dir))
	if got := f.Recovered(); got != 0 {
		t.Fatalf("after a clean close something was recovered: %+v", got)
	}
	want(t, f, s.all...)
	closeIt(t, f)
	return counts
}

// fate is the faults of a process: a step at which it ends, and one at which the disk is full.
type fate struct {
	end, full             int // steps, counted down
	fulls, torn, unsynced int
}

func newFate(rng *rand.Rand, disk *testFS) *fate {
	x := &fate{end: 1 + rng.IntN(50), full: 1 + rng.IntN(50)}
	if rng.IntN(3) == 0 {
		x.full = 0 // never
	}
	disk.before = func(s step) error {
		if s.op == "open" {
			return nil // leaves no trace
		}
		if x.end--; x.end == 0 {
			switch {
			case s.op == "write" && rng.IntN(2) == 0:
				x.torn++
				return errTorn
			case s.op == "sync" && rng.IntN(2) == 0: // it fails, and ends the process
				x.unsynced++
				disk.platter.lose(s.path)
			}
			disk.dead = true
			return errKilled
		}
		if x.full--; x.full <= 0 && x.full > -10 && takesSpace(s) {
			x.full = -10
			x.fulls++
			if s.op == "write" && rng.IntN(2) == 0 {
				return errShort
			}
			return noSpace(s)
		}
		return nil
	}
	return x
}

// recovering returns 1 if the process ended before its folder was open.
func (x *fate) recovering(err error) int {
	if errors.Is(err, errOpening) {
		return 1
	}
	return 0
}

var errOpening = errors.New("open")

// live continues the story until its end or the end of the process. It retries once after ErrFull.
func (s story) live(t *testing.T, disk *testFS, dir string, known *confirmed) error {
	t.Helper()
	full := false
	again := func(err error) bool {
		t.Helper()
		if !errors.Is(err, sink.ErrFull) || errors.Is(err, errKilled) {
			return false
		}
		if full {
			t.Fatalf("the disk was full once: %v", err)
		}
		full = true
		return true
	}
	f, err := sink.OpenFolderOn(disk, dir, job, s.in(dir))
	if again(err) {
		f, err = sink.OpenFolderOn(disk, dir, job, s.in(dir))
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errOpening, err)
	}
	defer f.Close() // a dead process has no effect any more
	if disk.dead {  // at a step of the index, which may fail
		return fmt.Errorf("%w: %w", errOpening, errKilled)
	}
	if _, bound := f.Plan(); known.claimed && !bound {
		t.Fatal("the claim is lost")
	}
	s.checkResults(t, f, known)
	if _, err = f.Claim(t.Context(), plan, "fetcher"); again(err) {
		_, err = f.Claim(t.Context(), plan, "fetcher")
	}
	if err := disk.alive(err); err != nil {
		return err
	}
	known.claimed = true
	if known.fenced && f.Term("bad") == 0 {
		t.Fatal("a version is not fenced any more")
	}
	if known.groups > 0 { // between groups, of this life or another
		if err = f.FenceVersion(t.Context(), "bad", 1); again(err) {
			err = f.FenceVersion(t.Context(), "bad", 1)
		}
		if err := disk.alive(err); err != nil {
			return err
		}
		known.fenced = true
	}
	for known.groups < len(s.groups) {
		group := s.groups[known.groups]
		known.trying = true
		if _, err = f.Commit(t.Context(), group); again(err) {
			want(t, f, s.upTo(known.groups)...)
			_, err = f.Commit(t.Context(), group)
		}
		if err := disk.alive(err); err != nil {
			return err
		}
		known.groups, known.trying = known.groups+1, false
	}
	sum, outputs, dead := sinktest.Expect(s.all...)
	got, err := f.Finish(t.Context(), sum.Chunks, sum.Objects)
	if again(err) {
		got, err = f.Finish(t.Context(), sum.Chunks, sum.Objects)
	}
	if err := disk.alive(err); err != nil {
		return err
	}
	known.finished = true
	wantFile(t, got.Output, sinktest.Content(got.Output, outputs))
	if len(dead) > 0 {
		wantFile(t, got.DeadFile, dead)
	}
	want(t, f, s.all...)
	return f.Close()
}

// checkResults checks that all confirmed results are there, and all or nothing of the group in progress.
func (s story) checkResults(t *testing.T, f *sink.Folder, known *confirmed) {
	t.Helper()
	if known.trying && compare(t, f, s.upTo(known.groups+1)...) == "" {
		known.groups++
	}
	known.trying = false
	if diff := compare(t, f, s.upTo(known.groups)...); diff != "" {
		t.Fatalf("after %d groups: %s", known.groups, diff)
	}
}

// TestPowerCutWithinCommit leaves any sectors of an unsynced commit, also later ones without earlier ones, and the new
// length of the file or another one. The folder is then in the state before or after the commit, nothing is reported as
// damaged, and the story continues from there.
func TestPowerCutWithinCommit(t *testing.T) {
	t.Parallel()
	s := story{o: sink.FolderOptions{PartBytes: 12_000}, output: "output.jsonl"}
	for n := range 24 {
		r := big(chunk.ID(n), uint64(n), 1+n*997%3000)
		if n >= 12 { // three pieces a chunk
			r.Chunk, r.From, r.Of = chunk.ID(12+(n-12)/3), n%3, 3
			r.Digest = sinktest.Digest(r.Chunk, "source")
		}
		s.all = append(s.all, r)
	}
	for from := 0; from < len(s.all); from += 4 {
		s.groups = append(s.groups, s.all[from:from+4])
	}
	home := t.TempDir()
	disk := newCrashFS(t, home)
	f := openOn(t, disk, filepath.Join(home, "sink"), s.in(filepath.Join(home, "sink")))
	claim(t, f)
	known := confirmed{claimed: true, trying: true}
	cuts := uint64(0)
	disk.after = func(at step) {
		if at.op != "write" || isIndex(at) {
			return
		}
		for range 20 {
			cuts++
			to := t.TempDir()
			disk.platter.crash(t, to, randomDice(rand.New(rand.NewPCG(cuts, 0))))
			left := known
			if err := s.live(t, newTestFS(), filepath.Join(to, "sink"), &left); err != nil {
				t.Fatalf("power cut %d in group %d: %v", cuts, known.groups, err)
			}
		}
	}
	for _, g := range s.groups {
		commit(t, f, g...)
		known.groups++
	}
	disk.after = func(step) {}
	if cuts < 6*20 {
		t.Errorf("only %d power cuts", cuts)
	}
}
