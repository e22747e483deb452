//go:build cluster

package cluster

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/chunkline/chunkline/internal/report"
)

// awayTexts are in the warnings of roles that have lost NATS or a peer.
var awayTexts = []string{
	"no connection to NATS", "the NATS server is about to stop", "waiting for the saver", "no answer from the",
	"mapper has no connection any more", "mapper fell silent", "stopped before the job was done", // a fetcher after SIGTERM
}

// TestJob maps 100,000 objects while pods are scaled, updated, deleted and evicted.
func TestJob(t *testing.T) {
	parallel(t, 770, 350)
	const objects = 100_000
	l := newLab(t, "base", 0, fmt.Sprintf("OBJECTS=%d", objects), "RATE=120", "TRANSFORM=users?duration=3s") // for 830 s, until finish; mappers hold a chunk most of the time
	passed := func(chunks uint64) report.Status {
		t.Helper()
		return l.job(fmt.Sprintf("%d chunks to be saved", chunks), func(s report.Status) bool { return s.Chunks.Saved >= chunks })
	}
	goesOn := func() (s report.Status) {
		t.Helper()
		s = l.job("a status", func(report.Status) bool { return true })
		return passed(min(s.Chunks.Saved+3, objects/100))
	}
	scale := func(n int) {
		t.Helper()
		l.kubectl("scale", "deployment/mapper", fmt.Sprintf("--replicas=%d", n))
		l.up("deployment/mapper")
		l.until(fmt.Sprintf("%d mappers", n), func() bool { return l.readyMappers() == n && len(l.pods("mapper")) == n })
	}
	passed(1)
	for _, n := range []int{2, 10, 3, 6} {
		scale(n)
	}

	t.Log("a rollout costs nothing")
	before, ok := l.status()
	if !ok {
		t.Fatal("no status")
	}
	l.kubectl("set", "image", "deployment/mapper", "mapper=chunkline/mapper:0.1.1")
	l.up("deployment/mapper")
	l.until("old mappers to be gone", func() bool { return len(l.pods("mapper")) == 6 })
	after := l.job("only new mappers", func(s report.Status) bool {
		return len(s.Mappers) == 6 && !slices.ContainsFunc(s.Mappers, func(m report.MapperStatus) bool { return m.Version != "0.1.1" })
	})
	redelivered := after.Chunks.Redelivered != before.Chunks.Redelivered && !l.logs.fellSilent()
	if after.Epoch != before.Epoch || redelivered || l.logs.count("gave back pieces") > 0 {
		t.Errorf("after the rollout: epoch %d, %d redelivered; before: epoch %d, %d redelivered; %d mappers gave back pieces",
			after.Epoch, after.Chunks.Redelivered, before.Epoch, before.Chunks.Redelivered, l.logs.count("gave back pieces"))
	}

	t.Log("pods of every role are deleted, with and without grace")
	for _, role := range []string{"mapper", "fetcher", "saver", "mapper", "toolbox"} {
		for _, grace := range []string{"--grace-period=30", "--grace-period=0"} {
			pods := l.pods(role)
			if len(pods) == 0 {
				t.Fatalf("no %s", role)
			}
			victim := pods[rand.IntN(len(pods))].Metadata.Name
			l.kubectl("delete", "pod", victim, grace, fmt.Sprintf("--force=%t", grace == "--grace-period=0"), "--wait")
			goesOn()
		}
	}

	t.Log("NATS restarts, and is killed; a mapper is evicted")
	l.kubectl("rollout", "restart", "statefulset/nats")
	l.up("statefulset/nats")
	goesOn()
	l.kubectl("delete", "pod", "nats-0", "--grace-period=0", "--force")
	l.up("statefulset/nats")
	s := goesOn()
	l.evict(l.pods("mapper")[0].Metadata.Name)

	if s.State == report.StateDone {
		t.Error("the job was done before all faults were injected")
	}
	l.kubectl("set", "env", "deployment/mapper", "TRANSFORM=users?duration=50ms") // a release that does the rest in seconds
	s = l.finish()
	if s.Objects.Saved != objects || s.Objects.Dead != 0 {
		t.Errorf("done with %d objects saved, %d dead letters; want %d and none", s.Objects.Saved, s.Objects.Dead, objects)
	}
	if text, err := l.chunkline("status"); err != nil || !strings.Contains(text, "done, 100.0 %, 100000 objects") {
		t.Errorf("toolbox: got %q, %v", text, err)
	}
	// A starved mapper may not finish its pieces within its grace period.
	// A saver that was deleted by force may still run when the next one starts, which finds the folder locked and ends.
	l.healthy("saver")
	l.verify(objects, 0)
	l.logs.explained(append(awayTexts, "gave back pieces that could not be finished in time", "the last saver was killed", "another saver (or chunkline command) has this folder open")...)
}
