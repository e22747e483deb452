package mapper_test

import (
	"strings"
	"testing"
	"time"

	"github.com/chunkline/chunkline/internal/mapper"
	"github.com/chunkline/chunkline/internal/wire"
)

// TestTakesTransform: a mapper without a transform takes the job's, another one of
// the next job as well, and runs a program only if it may.
func TestTakesTransform(t *testing.T) {
	for name, c := range map[string]struct {
		allowed    bool
		transforms []string // the fetcher's refusals, in order
		has        []string // what the mapper has then
		logs       string
	}{
		"any":                {false, []string{"jq:.a", "jq:.b"}, []string{"jq:.a", "jq:.b"}, "mapper takes the job's transform"},
		"none":               {false, []string{""}, []string{""}, "no transform for you"},
		"unknown":            {false, []string{"sql:x"}, []string{""}, `unknown kind`},
		"a program":          {false, []string{"exec:cat"}, []string{""}, "ALLOW_EXEC"},
		"a service":          {false, []string{"http://h/"}, []string{""}, "ALLOW_EXEC"},
		"a service, allowed": {true, []string{"http://h/"}, []string{"http://h/"}, "mapper takes the job's transform"},
		"a program, allowed": {true, []string{"exec:cat"}, []string{"exec:cat"}, "mapper takes the job's transform"},
	} {
		t.Run(name, func(t *testing.T) {
			var b *bench
			runNamed(t, mapper.Config{Workers: 1, AllowExec: c.allowed}, func(t *testing.T, running *bench) {
				b = running
				r, n := b.next()
				if n.Mapper.Transform != "" || n.Mapper.Declared {
					t.Fatalf("first request: got the mapper %+v, want no transform", n.Mapper)
				}
				for i, transform := range c.transforms {
					refusal := wire.Work{Status: wire.WorkRefused, Plan: plan.ID(), Reason: "no transform for you", Transform: transform}
					if err := r.Reply(refusal.Encode()); err != nil {
						t.Fatal(err)
					}
					begin := time.Now()
					r, n = b.next()
					if n.Mapper.Transform != c.has[i] || (time.Since(begin) > 0) != (c.has[i] == "") {
						t.Errorf("after the refusal %q: asks after %s with %q, want %q", transform, time.Since(begin), n.Mapper.Transform, c.has[i])
					}
					if c.has[i] != "" && n.Mapper.Version != c.has[i] {
						t.Errorf("version %q, want that of the transform", n.Mapper.Version)
					}
				}
				for range 20 { // a refusal is logged when it has lasted
					if err := r.Reply(wire.Work{Status: wire.WorkRefused, Plan: plan.ID(), Reason: "no transform for you", Transform: c.transforms[len(c.transforms)-1]}.Encode()); err != nil {
						t.Fatal(err)
					}
					r, _ = b.next()
				}
				if err := b.ready(); err == nil || !strings.Contains(err.Error(), "refuses work") {
					t.Errorf("ready: %v, want the refusals", err)
				}
				if err := r.Reply(wire.Work{Status: wire.WorkNone, Plan: plan.ID()}.Encode()); err != nil {
					t.Fatal(err)
				}
				b.next()
				if err := b.ready(); err != nil {
					t.Errorf("not ready although the fetcher no longer refuses: %v", err)
				}
			})
			if log := b.log.String(); !strings.Contains(log, c.logs) {
				t.Errorf("no %q in the log:\n%s", c.logs, log)
			}
		})
	}
}
