//go:build endurance && linux

package endurance

import (
	"flag"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/test/proc"
)

var (
	crowd = flag.Int("crowd", 100, "mappers with large chunks in TestCrowd")
	stop  = flag.Duration("stop", 30*time.Second, "how long the saver is stopped in TestStoppedSaver")
)

// TestCrowd: many mappers with chunks of 8 MiB, each process with the memory limit
// of the manifests. The job ends, and the kernel kills no process.
func TestCrowd(t *testing.T) {
	j := newLimited(t, "crowd")
	j.objects(*crowd*3/2*chunkSize, 83_000)
	nats := j.NATS()
	others := []*proc.Process{j.Saver()}
	for i := range *crowd {
		others = append(others, j.Mapper(fmt.Sprint("mapper-", i), "identity", "WORKERS=1"))
	}
	for _, m := range others[1:] { // all ask before the first chunk is handed out
		m.Await("mapper asks for work")
	}
	j.finish(j.Fetcher("ON_DONE=exit"), others...)
	if nats.Ended() {
		t.Error("nats-server has ended by itself")
	}
}

// TestStoppedSaver: the saver is stopped, so small results pile up in a mapper that has
// the memory limit of the manifests. The mapper stops asking for work and is not killed,
// and no chunk is redelivered or suspected.
func TestStoppedSaver(t *testing.T) {
	j := newLimited(t, "stopped")
	j.objects(7000*chunkSize, 1000) // some 4,000 results fit
	j.NATS()
	saver := j.Saver()
	mapper := j.Mapper("mapper-0", "jq:.i", "WORKERS=1")
	fetcher := j.Fetcher("ON_DONE=stay", proc.HTTP(), "RATE=5000") // so that the job is not done before the saver is stopped
	fetcher.AwaitStatus("some chunks saved", func(s report.Status) bool { return s.Chunks.Saved >= 100 })
	saver.Stop()
	j.Control("rate", "0")
	lasts := time.After(*stop)
	mapper.Await("fill the memory (MEMORY_BYTES)")
	<-lasts
	saver.Signal(syscall.SIGCONT)
	s := fetcher.AwaitStatus("end of the job", func(s report.Status) bool { return s.State == report.StateDone })
	if s.Chunks.Redelivered != 0 || s.Chunks.Backups != 0 || s.Objects.Dead != 0 {
		t.Errorf("%d chunks were handed out again, %d as backups, %d objects are dead letters, want none", s.Chunks.Redelivered, s.Chunks.Backups, s.Objects.Dead)
	}
	if len(s.Gone) != 0 { // only a gone mapper makes a chunk suspect
		t.Errorf("the mapper was taken for gone: %+v", s.Gone)
	}
	fetcher.Signal(syscall.SIGTERM)
	j.finish(fetcher, saver, mapper)
}
