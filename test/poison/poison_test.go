//go:build long

package poison

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/test/proc"
)

const (
	objects  = 1000
	poisoned = 157 // ordinal of the poison object: it has a whole chunk of neighbours
)

// job is a job with one poison object.
type job struct {
	*proc.Job

	poison  string // text that only the poison object has
	touched string // a file with one byte for each time that a program touched it
	fetcher *proc.Process
	mappers []*proc.Process
	deaths  map[string]int // of mappers, by label
}

func newJob(t *testing.T, env ...string) *job {
	t.Helper()
	j := &job{Job: proc.NewJob(t, "poison"), deaths: map[string]int{}}
	j.touched = filepath.Join(j.Dir, "touched")
	j.NATS()
	j.Users(objects)
	text, err := os.ReadFile(j.Source)
	if err != nil {
		t.Fatal(err)
	}
	var user struct{ UUID string }
	if err := json.Unmarshal(bytes.Split(text, []byte{'\n'})[poisoned], &user); err != nil {
		t.Fatal(err)
	}
	j.poison = `"uuid":"` + user.UUID + `"`
	j.Saver()
	j.fetcher = j.Fetcher(append(env, "ON_DONE=stay")...)
	return j
}

// mapper starts a mapper whose program does harm when it meets poison.
func (j *job) mapper(label, how, poison, touched string, env ...string) {
	j.T.Helper()
	self, err := os.Executable()
	if err != nil {
		j.T.Fatal(err)
	}
	command, err := json.Marshal([]string{self, "map"})
	if err != nil {
		j.T.Fatal(err)
	}
	j.mappers = append(j.mappers, j.Mapper(label, "exec:"+string(command), append(env, "WORKERS=1", "VERSION=v9.1", howVariable+"="+how, poisonVariable+"="+poison, noteVariable+"="+touched)...))
}

// run runs the job to its end.
func (j *job) run() {
	j.T.Helper()
	j.runUntil("the end of the job", func() bool { return strings.Contains(j.fetcher.Log(), `"job done"`) })
	j.T.Logf("deaths of mappers: %v; the fetcher gave up %d that held a chunk", j.deaths, j.lost())
}

// runUntil restarts mappers that die, until a state is reached.
func (j *job) runUntil(what string, reached func() bool) {
	j.T.Helper()
	proc.Eventually(j.T, what, func() bool {
		for _, m := range j.mappers {
			if m.Ended() {
				j.deaths[m.Label]++
				m.Start()
			}
		}
		return reached()
	})
}

// lost returns how often the fetcher gave up a mapper that held a chunk; each holds one, because it
// has one worker. On a stalled machine these include mappers that are alive.
func (j *job) lost() int { return strings.Count(j.fetcher.Log(), ": its pieces are requeued") }

// checkLetter checks that the poison object is the only dead letter, with this reason, that every other
// object is mapped, and that status and log say so.
func (j *job) checkLetter(reason string) (chunk.DeadLetter, report.Status) {
	j.T.Helper()
	proc.Check(j.T, j.Source, j.Output(), j.Letters(), fmt.Sprint(poisoned))
	text, err := os.ReadFile(j.Letters())
	if err != nil {
		j.T.Fatal(err)
	}
	letter, err := chunk.ParseDeadLetter(bytes.TrimSuffix(text, []byte{'\n'}))
	if err != nil {
		j.T.Fatalf("%v: %s", err, text)
	}
	if !regexp.MustCompile(reason).MatchString(letter.Error) {
		j.T.Errorf("reason: got %q, want %q", letter.Error, reason)
	}
	if letter.Ordinal != poisoned || letter.Version != "v9.1" || !strings.HasPrefix(letter.Mapper, "mapper-") {
		j.T.Errorf("dead letter of object %d by %s %s, want object %d by mapper-N v9.1", letter.Ordinal, letter.Mapper, letter.Version, poisoned)
	}
	s := j.Status()
	if s.State != report.StateDone || s.Objects.Saved != objects || s.Objects.Dead != 1 || s.Objects.Outputs != objects-1 || s.Summary.Dead != 1 {
		j.T.Errorf("status counts %+v, summary %+v; want one of %d objects dead", s.Objects, s.Summary, objects)
	}
	want := fmt.Sprintf(`"objects":%d,"outputs":%d,"dead":1`, objects, objects-1)
	if !strings.Contains(j.fetcher.Log(), want) {
		j.T.Errorf("the fetcher did not log %s: %s", want, j.fetcher.Tail())
	}
	return letter, s
}

// touches returns how often the poison object was touched.
func (j *job) touches() int {
	j.T.Helper()
	text, err := os.ReadFile(j.touched)
	if err != nil {
		j.T.Fatal(err)
	}
	return len(text)
}

// maxTouches is how often one attempt may hand an object to a program: twice,
// and once more when earlier answers of the chunk have become doubtful.
const maxTouches = 3

// TestProgramDies: the mapping program dies of the object; its mapper survives. It costs one
// attempt of one chunk.
func TestProgramDies(t *testing.T) {
	t.Parallel()
	for how, reason := range map[string]string{
		"exit":   "exit status 3",
		"panic":  "(?s)exit status 2.*panic: poison",
		"kill":   "signal: killed",
		"memory": "(?s)exit status 2.*runtime", // its output ends with a trace of goroutines
	} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			j := newJob(t, "SPECULATE=false")
			j.mapper("mapper-0", how, j.poison, j.touched)
			j.mapper("mapper-1", how, j.poison, j.touched)
			j.run()
			letter, s := j.checkLetter(reason)
			silent := j.fetcher.FellSilent() // mappers that stalled but live: each may cost one more attempt
			if letter.Attempts < 1 || letter.Attempts > 1+silent || len(j.deaths) != 0 || s.Chunks.Redelivered > uint64(silent) {
				t.Errorf("%d attempts, deaths of mappers %v, %d chunks redelivered; want one attempt and no deaths or redeliveries; %d mappers fell silent",
					letter.Attempts, j.deaths, s.Chunks.Redelivered, silent)
			}
			if n, most := j.touches(), maxTouches*(1+silent); n > most {
				t.Errorf("the object was touched %d times, want at most %d", n, most)
			}
		})
	}
}

// TestProgramHangs: one mapper's program hangs, with a TIMEOUT of an hour. Its chunk becomes a
// straggler, and an idle mapper gets a backup attempt. There the program hangs until the TIMEOUT of
// a second, which makes the object a dead letter.
func TestProgramHangs(t *testing.T) {
	t.Parallel()
	j := newJob(t)
	j.mapper("mapper-0", "loop", j.poison, j.touched, "TIMEOUT=1h")
	proc.Eventually(t, "the first mapper's program to hang", func() bool {
		text, err := os.ReadFile(j.touched)
		return err == nil && len(text) == 1
	})
	j.mapper("mapper-1", "loop", j.poison, j.touched, "TIMEOUT=1s")
	j.run()
	letter, s := j.checkLetter("1s")
	if letter.Attempts != 1 || letter.Mapper != "mapper-1" || len(j.deaths) != 0 {
		t.Errorf("%d attempts, the last by %s, deaths of mappers %v; want one attempt, by mapper-1, and no deaths", letter.Attempts, letter.Mapper, j.deaths)
	}
	if s.Chunks.Backups < 1 {
		t.Errorf("status counts %d backups, want at least 1", s.Chunks.Backups)
	}
	if n := j.touches(); n > 1+maxTouches {
		t.Errorf("the object was touched %d times, want at most %d", n, 1+maxTouches)
	}
}

// maxDeaths bounds how many mappers a poison object costs: those of two plain and two careful
// attempts, and one more if a backup attempt of a plain one was under way.
const maxDeaths = 5

const vanished = "^[23] mappers vanished while this object was in work$"

// TestMapperDies: the object crashes its mapper, and careful mode finds the object.
func TestMapperDies(t *testing.T) {
	t.Parallel()
	for name, speculate := range map[string]string{"plain": "false", "with backups": "true"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j := newJob(t, "SPECULATE="+speculate)
			for i := range 3 {
				j.mapper(fmt.Sprint("mapper-", i), "mapper", j.poison, j.touched)
			}
			j.run()
			letter, s := j.checkLetter(vanished)
			deaths := 0
			for _, n := range j.deaths {
				deaths += n
			}
			lost := j.lost() // equal to deaths, unless a live mapper stalled
			if lost < 4 || deaths > maxDeaths || j.touches() < deaths {
				t.Errorf("the object was touched %d times and crashed %d mappers; the fetcher gave up %d, want 4 to %d", j.touches(), deaths, lost, maxDeaths)
			}
			if lost == deaths && j.touches() != deaths {
				t.Errorf("the object was touched %d times, but crashed %d mappers", j.touches(), deaths)
			}
			if letter.Attempts < min(deaths, lost)+1 || letter.Attempts > max(deaths, lost)+1 {
				t.Errorf("the dead letter has %d attempts, want one more than mappers crashed, %d, or were given up, %d", letter.Attempts, deaths, lost)
			}
			if got := s.Chunks.Redelivered + s.Chunks.Backups; got < uint64(deaths) {
				t.Errorf("status counts %d redelivered and %d backups, want at least %d", s.Chunks.Redelivered, s.Chunks.Backups, deaths)
			}
		})
	}
}

// TestCrashLoop: the same beside a mapper that crashes on every object and is restarted at once.
// Its crashes count against no object.
func TestCrashLoop(t *testing.T) {
	t.Parallel()
	j := newJob(t, "CHUNK_SIZE=10", "RATE=10") // a chunk a second, so that the job is not done before there is a crash loop
	j.mapper("mapper-0", "mapper", j.poison, j.touched)
	j.mapper("mapper-1", "mapper", j.poison, j.touched)
	j.mapper("crashing", "mapper", "uuid", filepath.Join(j.Dir, "crashed"))
	j.runUntil("a crash loop", func() bool { return j.deaths["crashing"] >= 3 })
	j.Control("rate", "0")
	j.run()
	j.checkLetter(vanished)
	if good := j.deaths["mapper-0"] + j.deaths["mapper-1"]; good > maxDeaths || good < 2 && j.fetcher.FellSilent() == 0 {
		t.Errorf("the object crashed %d good mappers, want 2 to %d", good, maxDeaths)
	}
}
