package report

import (
	"strings"
	"testing"
	"time"
)

// TestBottleneck: each cause shows when it applies, and gives way to those that
// stop more.
func TestBottleneck(t *testing.T) {
	t.Parallel()
	ready := Status{State: StateRunning, Chunks: ChunkCounts{Ready: 5, InFlight: 2}}
	cut := Status{State: StateRunning, Cut: true, Chunks: ChunkCounts{InFlight: 2}}
	with := func(s Status, change func(*Status)) Status { change(&s); return s }
	for name, c := range map[string]struct {
		s    Status
		f    Facts
		by   Cause
		text string
	}{
		"done":                 {s: Status{State: StateDone}, f: Facts{Offline: true}},
		"failed":               {s: ready, f: Facts{Failed: true, Offline: true}},
		"offline":              {s: with(ready, func(s *Status) { s.SaverAway = true }), f: Facts{Offline: true}, by: CauseNATS, text: "not connected to NATS"},
		"no saver":             {s: with(ready, func(s *Status) { s.SaverAway = true }), f: Facts{RivalSavers: "two"}, by: CauseSaverAway, text: "does not answer"},
		"two savers":           {s: with(ready, func(s *Status) { s.Saver.Full = "disk" }), f: Facts{RivalSavers: "two savers"}, by: CauseSavers, text: "two savers"},
		"full":                 {s: with(ready, func(s *Status) { s.Saver.Full, s.State = "disk", StateFinishing }), by: CauseFull, text: "sink is full: disk"},
		"merging":              {s: with(ready, func(s *Status) { s.State, s.Paused = StateFinishing, true }), by: CauseMerge, text: "merging"},
		"cannot merge":         {s: with(ready, func(s *Status) { s.State = StateFinishing }), f: Facts{MergeFailure: "the bucket is away"}, by: CauseMerge, text: "tries again: the bucket is away"},
		"paused":               {s: with(ready, func(s *Status) { s.Paused = true }), f: Facts{Hearing: true}, by: CausePause, text: "resume it"},
		"hearing":              {s: ready, f: Facts{Hearing: true, Unconfirmed: true}, by: CauseStart, text: "waiting for mappers to report"},
		"unconfirmed":          {s: ready, f: Facts{Unconfirmed: true}, by: CauseStart, text: "still owns the job"},
		"no mappers":           {s: ready, f: Facts{Refusal: "no"}, by: CauseNoMappers, text: "start some"},
		"refused":              {s: ready, f: Facts{Mappers: 1, Refusal: "other transform", AtRateLimit: true}, by: CauseTransform, text: "no mapper gets work: other transform"},
		"breaker open":         {s: ready, f: Facts{Mappers: 1, OpenBreaker: &OpenBreaker{Version: "v2", Failed: 0.6, Rest: 9 * time.Second}, AtRateLimit: true}, by: CauseVersion, text: "disabled version v2, because 60 % of its last objects failed, and no other version is connected; it gets one chunk as a probe in 9 s"},
		"breaker probing":      {s: ready, f: Facts{Mappers: 1, OpenBreaker: &OpenBreaker{Version: "v2"}}, by: CauseVersion, text: "it is mapping one chunk as a probe"},
		"rate":                 {s: with(ready, func(s *Status) { s.RateLimit, s.Waiting = 20, 2 }), f: Facts{Mappers: 1, AtRateLimit: true, NoneEligible: true}, by: CauseRate, text: "at the limit of 20 objects a second, with 2 workers waiting: raise the rate"},
		"rate, no waiting":     {s: with(ready, func(s *Status) { s.RateLimit = 20 }), f: Facts{Mappers: 1, AtRateLimit: true}, by: CauseRate, text: "a second: raise the rate"},
		"versions":             {s: with(ready, func(s *Status) { s.Waiting = 5 }), f: Facts{Mappers: 1, NoneEligible: true}, by: CauseVersion, text: "all 5 waiting workers run versions that are capped or disabled"},
		"version":              {s: with(ready, func(s *Status) { s.Waiting = 1 }), f: Facts{Mappers: 1, NoneEligible: true}, by: CauseVersion, text: "the only waiting worker runs a version that is capped"},
		"memory":               {s: with(ready, func(s *Status) { s.Waiting = 2 }), f: Facts{Mappers: 1, NoRoom: true}, by: CauseMemory, text: "with 2 workers waiting: raise its MEMORY_BYTES"},
		"commits":              {s: with(ready, func(s *Status) { s.Saver = SaverLoad{Queued: 1, CommitSeconds: 0.1, SyncSeconds: 0.08} }), f: Facts{Mappers: 1, Failures: Failures{TooMany: true}}, by: CauseSaver, text: "1 result queued, a commit takes 100 ms, of which 80 ms are disk sync"},
		"quick commits":        {s: with(ready, func(s *Status) { s.Saver = SaverLoad{Queued: 1, CommitSeconds: 0.01} }), f: Facts{Mappers: 1}, by: CauseMappers},
		"failing":              {s: ready, f: Facts{Mappers: 1, Failures: Failures{Chunks: 20, Share: 0.5, TooMany: true}}, by: CauseFailing, text: "50 % of the objects of the last 20 chunks failed"},
		"source":               {s: Status{State: StateRunning, Waiting: 1}, f: Facts{Mappers: 1}, by: CauseSource, text: "source to be read"},
		"stragglers":           {s: with(cut, func(s *Status) { s.Stragglers = []Straggler{{Chunk: 7, Mapper: "m1", Seconds: 60}, {}} }), f: Facts{Mappers: 1}, by: CauseStragglers, text: "the last 2 chunks: m1 has had chunk 7 for 60 s"},
		"one straggler of two": {s: with(cut, func(s *Status) { s.Stragglers = []Straggler{{}} }), f: Facts{Mappers: 1}, by: CauseEnd, text: "the last 2 chunks are being mapped"},
		"the end":              {s: with(cut, func(s *Status) { s.Chunks.InFlight = 1 }), f: Facts{Mappers: 1}, by: CauseEnd, text: "the last chunk is being mapped"},
		"one is idle":          {s: with(ready, func(s *Status) { s.Chunks.InFlight = 0 }), f: Facts{Mappers: 1}, by: CauseMappers, text: "the only mapper is idle"},
		"all are idle":         {s: with(ready, func(s *Status) { s.Chunks.InFlight = 0 }), f: Facts{Mappers: 4}, by: CauseMappers, text: "all 4 mappers are idle"},
		"one is busy":          {s: ready, f: Facts{Mappers: 1}, by: CauseMappers, text: "the only mapper is busy"},
		"all are busy":         {s: ready, f: Facts{Mappers: 4}, by: CauseMappers, text: "all 4 mappers are busy: add mappers"},
		"nothing":              {s: with(ready, func(s *Status) { s.Waiting = 1 }), f: Facts{Mappers: 1}},
	} {
		got := FindBottleneck(c.s, c.f)
		if got == nil {
			got = new(Bottleneck)
		}
		if got.Cause != c.by || !strings.Contains(got.Text, c.text) {
			t.Errorf("%s: bottleneck %q: %s; want %q: %s", name, got.Cause, got.Text, c.by, c.text)
		}
	}
}
