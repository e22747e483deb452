package saver_test

import (
	"testing"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/internal/wire"
)

// TestShadow: a shadow result is compared with the saved one, object by object, and is not
// saved. The report has the differences with both values.
func TestShadow(t *testing.T) {
	run(t, true, nil, func(t *testing.T, b *bench) {
		stable := result(0)
		stable.Mapper.Version = "v1"
		b.want(sign(stable), wire.SaveCommitted)
		shadow := func(change func(*message)) message {
			s := result(0)
			s.Mapper.Version, s.Shadow = "v2", true
			change(&s)
			return sign(s)
		}
		dead := func(s *message) {
			s.Counts, s.DeadCount = []int{1, 0}, 1
			s.Outputs = []byte("{\"a\":0}\n")
			s.Dead = chunk.DeadLetter{Ordinal: 1, Error: "no b", Object: []byte("1")}.Append(nil)
		}
		b.want(shadow(func(*message) {}), wire.SaveDuplicate)
		b.want(shadow(func(s *message) { s.Outputs = []byte("{\"a\":0}\n{\"b\":1}\n") }), wire.SaveDuplicate)
		b.want(shadow(dead), wire.SaveDuplicate)
		b.want(shadow(func(s *message) { s.Counts, s.Outputs = []int{2, 0}, []byte("{\"a\":0}\n{\"b\":0}\n") }), wire.SaveDuplicate)

		b.wantCommits([]chunk.ID{0})
		if r, _ := b.sink.Result(0); string(r.Outputs) != string(stable.Outputs) || r.Version != "v1" {
			t.Errorf("saved is %q of %s", r.Outputs, r.Version)
		}
		found := b.ask(wire.Sync{Op: wire.SyncShadow, Plan: plan.ID(), Fetcher: "f1", Epoch: 1}).Shadow
		if found == nil || len(found.Versions) != 1 || found.Versions[0] != (report.ShadowCount{Version: "v2", Chunks: 4, Objects: 8, Different: 4, Failed: 1}) {
			t.Fatalf("report %+v", found)
		}
		want := []report.Difference{
			{Ordinal: 1, Saved: report.Made{Version: "v1", Outputs: "{\"b\":0}\n"}, Shadow: report.Made{Version: "v2"}},
			{Ordinal: 0, Saved: report.Made{Version: "v1", Outputs: "{\"a\":0}\n"}, Shadow: report.Made{Version: "v2", Outputs: "{\"a\":0}\n{\"b\":0}\n"}},
			{Ordinal: 1, Saved: report.Made{Version: "v1", Outputs: "{\"b\":0}\n"}, Shadow: report.Made{Version: "v2", Error: "no b"}},
			{Ordinal: 1, Saved: report.Made{Version: "v1", Outputs: "{\"b\":0}\n"}, Shadow: report.Made{Version: "v2", Outputs: "{\"b\":1}\n"}},
		}
		for i, d := range found.Differences {
			if i >= len(want) || d != want[i] {
				t.Errorf("difference %d is %+v, want %+v", i, d, want)
			}
		}

		// A chunk that is not saved, or has other objects, is not compared.
		missing := result(7)
		missing.Shadow = true
		b.want(sign(missing), wire.SaveRefused)
		b.want(shadow(func(s *message) { s.Digest = chunk.Sum([]byte("other\n")) }), wire.SaveRefused)
		b.wantCommits([]chunk.ID{0})
	})
}

// TestShadow_bounded: the report lists only the latest differences.
func TestShadow_bounded(t *testing.T) {
	run(t, true, nil, func(t *testing.T, b *bench) {
		for id := range chunk.ID(report.MaxDifferences) {
			s := result(id)
			b.want(s, wire.SaveCommitted)
			s.Shadow, s.Counts, s.Outputs = true, []int{0, 0}, nil
			b.want(sign(s), wire.SaveDuplicate)
		}
		r := b.ask(wire.Sync{Op: wire.SyncShadow, Plan: plan.ID(), Fetcher: "f1", Epoch: 1}).Shadow
		if len(r.Differences) != report.MaxDifferences || r.Differences[0].Chunk != report.MaxDifferences-1 || r.Versions[0].Different != 2*report.MaxDifferences {
			t.Errorf("%d differences, the first of chunk %d, counts %+v", len(r.Differences), r.Differences[0].Chunk, r.Versions)
		}
	})
}
