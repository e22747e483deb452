package fetcher_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/fetcher"
	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/wire"
)

// TestTransforms: a version cannot have two transforms in a job. A mapper without a
// transform gets the job's, and the others are refused with a reason.
func TestTransforms(t *testing.T) {
	type asks struct {
		mapper, version, transform string
		declared                   bool
		refused                    string // "": it gets a chunk
	}
	for name, c := range map[string]struct {
		job  string
		asks []asks
	}{
		"the fetcher has one": {"jq:.a", []asks{
			{"m1", "0.1.0", "", false, "it takes the job's"},
			{"m1", "jq:.a", "jq:.a", false, ""},
			{"m2", "0.1.0", "jq:.a", false, ""},
			{"m3", "0.1.1", "jq:.b", false, "the job's transform is"},
			{"m3", "v2", "jq:.b", true, ""},
			{"m4", "v2", "jq:.a", true, `version "v2" stands for the transform "jq:.b"`},
			{"m4", "v3", "jq:.a", true, ""},
		}},
		"the mappers have": {"", []asks{
			{"m1", "0.1.0", "", false, "neither this mapper nor the fetcher"},
			{"m1", "0.1.0", "exec:cat", false, ""},
			{"m2", "0.1.0", "exec:cat", false, ""},
			{"m3", "0.1.0", "exec:cat sha256:0011223344556677", false, "stands for"},
			{"m3", "v2", "exec:cat sha256:0011223344556677", true, ""},
		}},
		"files of the machine": {"exec:./a", []asks{
			{"m0", "0.1.0", "", false, "only with ALLOW_EXEC=true"},
			{"m1", "0.1.0", "exec:./a sha256:0011223344556677", false, ""},
			{"m2", "0.1.0", "exec:./a sha256:7700112233445566", false, "stands for"},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			runWith(t, 60, func(cfg *fetcher.Config) { cfg.Transform = c.job }, func(t *testing.T, b *bench) {
				for i, a := range c.asks {
					n := next(a.mapper, uint64(i+1))
					n.Mapper.Version, n.Mapper.Transform, n.Mapper.Declared = a.version, a.transform, a.declared
					w, ok := got(b.ask(n))
					switch {
					case a.refused == "" && !ok:
						t.Errorf("ask %d: no chunk: %s %s", i, w.Status, w.Reason)
					case a.refused != "" && (w.Status != wire.WorkRefused || !strings.Contains(w.Reason, a.refused) || w.Transform != c.job):
						t.Errorf("ask %d: %s, %q with the transform %q; want a refusal with %q", i, w.Status, w.Reason, w.Transform, a.refused)
					}
					pass(300 * time.Millisecond)
					if held := b.Status().Bottleneck; i == 0 && a.refused != "" && (held == nil || held.Cause != report.CauseTransform || !strings.Contains(held.Text, a.refused)) {
						t.Errorf("bottleneck %+v, want the refusal", held)
					}
				}
			})
		})
	}
}

// TestTransformOvertaken: the request of a worker that has no transform yet gets no chunk,
// even if a request of the same mapper with the job's transform arrives before it.
func TestTransformOvertaken(t *testing.T) {
	runWith(t, 60, func(cfg *fetcher.Config) { cfg.Transform = "jq:.a" }, func(t *testing.T, b *bench) {
		late, early := next("m1", 1), next("m1", 2)
		late.Mapper.Transform, early.Mapper.Transform = "", "jq:.a"
		early.Asking = []uint64{1, 2}
		if w, ok := got(b.ask(early)); !ok {
			t.Errorf("no chunk: %s %s", w.Status, w.Reason)
		}
		if w, _ := got(b.ask(late)); w.Status != wire.WorkRefused || w.Transform != "jq:.a" {
			t.Errorf("a worker without a transform got %s", w.Status)
		}
	})
}

// TestTransformOfBefore: a restarted fetcher refuses a transform other than that of the
// saved results, and knows the versions' transforms.
func TestTransformOfBefore(t *testing.T) {
	first := chunk.Chunk{Body: []byte("0\n1\n"), Count: 2}
	before := func(b *bench) {
		made := sink.Result{Of: 2, Objects: 2, Digest: first.Digest(), Counts: []int{1, 1}, Outputs: first.Body, Version: "v1", Transform: "jq:.a"}
		if _, err := b.sink.Commit(b.t.Context(), []sink.Result{made}); err != nil {
			b.t.Fatal(err)
		}
	}
	for name, accept := range map[string]bool{"refused": false, "accepted": true} {
		t.Run(name, func(t *testing.T) {
			set := func(cfg *fetcher.Config) { cfg.Transform, cfg.AcceptChange = "jq:.b", accept }
			runAfter(t, 60, before, set, func(t *testing.T, b *bench) {
				if !accept {
					if err := <-b.done; !errors.Is(err, fetcher.ErrOtherTransform) || !strings.Contains(err.Error(), "ACCEPT_CHANGE") || !strings.Contains(err.Error(), "jq:.a") {
						t.Errorf("fetcher ended with %v", err)
					}
					return
				}
				n := next("m1", 1)
				n.Mapper.Version, n.Mapper.Transform, n.Mapper.Declared = "v1", "jq:.b", true
				if w, _ := got(b.ask(n)); w.Status != wire.WorkRefused || !strings.Contains(w.Reason, "stands for") {
					t.Errorf("version v1 has another transform now: got the answer %s %q", w.Status, w.Reason)
				}
			})
		})
	}
}
