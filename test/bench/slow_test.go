//go:build bench

package bench

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/test/proc"
)

const chunkSize = 100 // chunkline's default

// runJob runs a job of chunks with mappers that run before the fetcher starts, and
// measures from the start of the fetcher to its end. It calls meanwhile after the
// fetcher has started.
func runJob(t *testing.T, b *bench, chunks int, start func(j *proc.Job) []*proc.Process, meanwhile func([]*proc.Process)) figures {
	t.Helper()
	in := b.users(t, chunks*chunkSize)
	j := proc.NewJob(t, "bench")
	j.Source = in.path
	server := j.NATS()
	server.Await("Server is ready")
	saver := j.Saver()
	saver.Await("saver serves")
	mappers := start(j)
	for _, m := range mappers {
		m.Await("mapper asks for work")
	}
	begin := time.Now()
	fetcher := j.Fetcher("ON_DONE=exit")
	meanwhile(mappers)
	output := finished(t, fetcher)
	took := time.Since(begin)
	parts := []part{{fetcher, partReader}, {saver, partWriter}, {server, partServer}}
	for _, m := range mappers {
		parts = append(parts, part{m, partMapper})
	}
	for _, p := range parts {
		p.Signal(syscall.SIGINT) // it may have ended
		p.Wait()
	}
	in.check(t, output, true, true)
	return used(took, parts)
}

// Waiting work is chunks for which a mapper waits, as for a service.
const (
	waitingChunks = 1000
	waitingTime   = 50 * time.Millisecond // for a chunk
)

// waiting is a job whose mappers only wait; with stream, JetStream's forwarders.
type waiting struct {
	mappers int
	stream  bool
}

func (w waiting) measure(t *testing.T, b *bench) figures {
	ideal := waitingChunks * waitingTime / time.Duration(w.mappers)
	if w.stream {
		return floor{stream: true, forwarders: w.mappers, wait: waitingTime, objects: waitingChunks * chunkSize}.measure(t, b).compare(ideal)
	}
	f := runJob(t, b, waitingChunks, func(j *proc.Job) (mappers []*proc.Process) {
		for i := range w.mappers {
			mappers = append(mappers, j.Mapper(fmt.Sprint("mapper-", i), fmt.Sprint("users?duration=", waitingTime), "WORKERS=1"))
		}
		return mappers
	}, func([]*proc.Process) {})
	return f.compare(ideal)
}

// trouble is a job with ten mappers, one of which is killed half-way, or slow. Its
// ideal is that of ten healthy mappers.
type trouble struct{ kill bool }

func (w trouble) measure(t *testing.T, b *bench) figures {
	const chunks, each, mappers, slower = 500, 200 * time.Millisecond, 10, 40
	const best = chunks * each / mappers
	f := runJob(t, b, chunks, func(j *proc.Job) (all []*proc.Process) {
		for i := range mappers {
			takes, settings := each, []string{"WORKERS=1"}
			if i == 0 && !w.kill { // another transform needs another version
				takes, settings = slower*each, append(settings, "VERSION=slow")
			}
			all = append(all, j.Mapper(fmt.Sprint("mapper-", i), fmt.Sprint("users?duration=", takes), settings...))
		}
		return all
	}, func(all []*proc.Process) {
		if w.kill {
			<-time.After(best / 2)
			all[0].Kill()
		}
	})
	return f.compare(best)
}

// slowWorkers is the number of workers of the slow job.
const slowWorkers = 32

const (
	firstProgress = "first progress s"
	idle          = "idle at the end s"
	busyWorkers   = "workers that worked"
)

// measureSlow runs a job of few slow objects in one process.
func measureSlow(t *testing.T, b *bench) figures {
	const objects, each = 2000, 500 * time.Millisecond
	in := b.users(t, objects)
	dir, logs, address := t.TempDir(), t.TempDir(), proc.HTTP()
	output := filepath.Join(dir, "out.jsonl")
	begin := time.Now()
	run := proc.Start(t, proc.Spec{
		Dir: dir, Label: "run", Program: "chunkline", Env: []string{address},
		Args: []string{
			"run", "-i", in.path, "-o", output, "-j", fmt.Sprint(slowWorkers), "--http", address[len("HTTP_ADDR="):],
			"--exec", fmt.Sprintf("%s sleep -each %s -out %s", b.floor, each, logs),
		},
	})
	run.AwaitStatus("the first saved object", func(s report.Status) bool { return s.Objects.Saved > 0 })
	first := time.Since(begin)
	if code := run.Exit(); code != 0 {
		t.Fatalf("chunkline run: exit code %d: %s", code, run.Tail())
	}
	took := time.Since(begin)
	in.check(t, output, false, true)
	workers, idled := workerLogs(t, logs, begin)
	f := used(took, []part{{run, partReader}}).compare(objects * each / slowWorkers)
	f[firstProgress], f[idle], f[busyWorkers] = first.Seconds(), idled.Seconds(), float64(workers)
	return f
}

// workerLogs reads when workers finished their objects. It returns how many workers
// had an object, and the longest time that one idled at the end while another had two
// or more objects left. A worker without objects idles from the beginning.
func workerLogs(t *testing.T, dir string, begin time.Time) (workers int, idled time.Duration) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.log"))
	if err != nil {
		t.Fatal(err)
	}
	var ends, seconds []int64 // of the last object of a worker, of the one before it
	for _, path := range files {
		file, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		var all []int64
		for lines := bufio.NewScanner(file); lines.Scan(); {
			at, err := strconv.ParseInt(lines.Text(), 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, at)
		}
		file.Close()
		if n := len(all); n > 0 {
			ends = append(ends, all[n-1])
			if n > 1 {
				seconds = append(seconds, all[n-2])
			}
		}
	}
	if len(seconds) == 0 {
		t.Fatal("no worker had two objects")
	}
	if workers = len(ends); workers < slowWorkers {
		ends = append(ends, begin.UnixNano())
	}
	return workers, time.Duration(max(0, slices.Max(seconds)-slices.Min(ends)))
}
