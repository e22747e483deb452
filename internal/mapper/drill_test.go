package mapper_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/chunkline/chunkline/internal/app"
	"github.com/chunkline/chunkline/internal/bus"
	"github.com/chunkline/chunkline/internal/bus/bustest"
	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/mapper"
	"github.com/chunkline/chunkline/internal/wire"
)

const noTime = "users" // a transform that takes no time

func TestDrill_setting(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", "v1", "v2", "v3", "v4", "v5"} {
		if err := (mapper.Config{Drill: name}).Validate(); err != nil {
			t.Errorf("DRILL=%q: %v", name, err)
		}
	}
	for _, name := range []string{"v9", "v0", "V1", "1", "v1 ", "off"} {
		err := (mapper.Config{Drill: name}).Validate()
		want := `DRILL="` + name + `": use v1 to v5, or leave it empty`
		if err == nil || err.Error() != want || app.Code(err) != app.ExitUsage {
			t.Errorf("DRILL=%q: error %v with code %d, want %s with %d", name, err, app.Code(err), want, app.ExitUsage)
		}
	}
}

// A drill names a mapper without a version, and one warning says that this is a drill and
// what it does. Without a drill there is no warning and no failure.
func TestDrill_says(t *testing.T) {
	for _, c := range []struct{ drill, version, want, says string }{
		{"", "", app.Version(), ""},
		{"v1", "", "v1", "this mapper works"},
		{"v3", "", "v3", "this mapper fails 10 % of its health checks and 10 % of its work"},
		{"v4", "", "v4", "this mapper works, then dies 20 s after it started"},
		{"v5", "2026-11", "2026-11", "this mapper works"},
	} {
		var m *mapper.Mapper
		t.Run(c.drill, func(t *testing.T) {
			cfg := mapper.Config{Transform: noTime, Workers: 1, StopTimeout: time.Second, Drill: c.drill, Version: c.version}
			runRigged(t, cfg, func(it *mapper.Mapper) { m = it }, func(t *testing.T, b *bench) {
				if _, n := b.next(); n.Mapper.Version != c.want {
					t.Errorf("asks as version %q, want %q", n.Mapper.Version, c.want)
				}
				if failing := m.DrillFails(10_000); (len(failing) > 0) != (c.drill == "v3") {
					t.Errorf("%d of 10,000 objects fail, want some only in v3", len(failing))
				}
				b.cancel()
				<-b.done
				var warnings []string
				for line := range strings.Lines(b.log.String()) {
					if strings.Contains(line, "drill") {
						warnings = append(warnings, line)
					}
				}
				if c.says == "" && len(warnings) > 0 || c.says != "" && (len(warnings) != 1 || !strings.Contains(warnings[0], c.says) || !strings.Contains(warnings[0], `"level":"warn"`)) {
					t.Errorf("got the warnings %q, want one with %q, or none", warnings, c.says)
				}
			})
		})
	}
}

// v1 and v5 work, and pass every check.
func TestDrill_works(t *testing.T) {
	for _, name := range []string{"v1", "v5"} {
		t.Run(name, func(t *testing.T) {
			rig := func(m *mapper.Mapper) {
				m.Rig(func() float64 { return 0 }, func() { t.Error("died") })
			}
			runRigged(t, mapper.Config{Transform: noTime, Workers: 1, Drill: name}, rig, func(t *testing.T, b *bench) {
				r, _ := b.next()
				reply(t, r, work(0).Encode())
				if _, s := b.save(); !slices.Equal(s.Counts, []int{1, 1}) || s.DeadCount != 0 || s.Mapper.Version != name {
					t.Errorf("result is %+v", s)
				}
				pass(time.Second / 2)
				if b.alive() != nil || b.ready() != nil {
					t.Errorf("alive: %v, ready: %v", b.alive(), b.ready())
				}
			})
		})
	}
}

// v2 is alive and beats, but is never ready and asks for nothing; it can be
// stopped like any other.
func TestDrill_neverWorks(t *testing.T) {
	run(t, mapper.Config{Transform: noTime, Workers: 3, Drill: "v2"}, func(t *testing.T, b *bench) {
		for range 60 {
			pass(time.Second)
			if err := b.ready(); err == nil || err.Error() != "drill v2 never works" {
				t.Fatalf("ready: %v", err)
			}
			if err := b.alive(); err != nil {
				t.Fatalf("alive: %v", err)
			}
		}
		if beats := b.heard(); len(b.nexts) != 0 || len(beats) < 60 {
			t.Errorf("%d requests and %d beats in a minute, want none and 60", len(b.nexts), len(beats))
		}
		b.cancel()
		if err := <-b.done; err != nil {
			t.Errorf("stopped with %v", err)
		}
		if beats := b.heard(); len(b.nexts) != 0 || len(beats) == 0 || !beats[len(beats)-1].Goodbye {
			t.Errorf("%d requests, beats %+v, want none and a goodbye", len(b.nexts), beats)
		}
	})
}

// v3 fails a tenth of each kind of check and of the objects: of 10,000 between
// 900 and 1,100, which is more than three standard deviations.
func TestDrill_rates(t *testing.T) {
	t.Parallel()
	const n, least, most = 10_000, 900, 1_100
	synctest.Test(t, func(t *testing.T) {
		conn := bustest.NewMemory(bustest.Options{}).Connect("mapper")
		defer conn.Close()
		m, err := mapper.New(mapper.Config{Transform: noTime, Drill: "v3"}, bus.New(conn, job), zerolog.Nop())
		if err != nil {
			t.Fatal(err)
		}
		m.Rig(rand.New(rand.NewPCG(1, 2)).Float64, nil)
		for what, check := range map[string]func() error{"alive": m.Alive, "ready": m.Ready} {
			failed := 0
			for range n {
				if err := check(); err != nil && strings.HasPrefix(err.Error(), "drill v3") {
					failed++
				}
			}
			if failed < least || failed > most {
				t.Errorf("%s: %d of %d checks fail, want a tenth", what, failed, n)
			}
		}
		failing := m.DrillFails(n)
		if len(failing) < least || len(failing) > most {
			t.Errorf("%d of %d objects fail, want a tenth", len(failing), n)
		}
		if half := slices.IndexFunc(failing, func(f chunk.Flaw) bool { return f.Index >= n/2 }); half < least/2 || half > most/2 {
			t.Errorf("%d of the first half of the objects fail, want a twentieth of all", half)
		}
	})
}

// v3 fails an object alone: its neighbour is saved, and what the source could
// not read keeps its own reason.
func TestDrill_deadLetter(t *testing.T) {
	rolls := []float64{0.0999, 0.1, 0.0, 0.05}
	rig := func(m *mapper.Mapper) {
		m.Rig(func() float64 { roll := rolls[0]; rolls = rolls[1:]; return roll }, nil)
	}
	runRigged(t, mapper.Config{Transform: noTime, Workers: 1, Drill: "v3"}, rig, func(t *testing.T, b *bench) {
		r, _ := b.next()
		reply(t, r, work(4).Encode())
		answer, s := b.save()
		letter, err := chunk.ParseDeadLetter(s.Dead)
		if err != nil || s.DeadCount != 1 || !slices.Equal(s.Counts, []int{0, 1}) || letter.Ordinal != 8 || letter.Attempts != 1 ||
			letter.Error != "drill v3 fails 10 % of its work" || letter.Version != "v3" {
			t.Errorf("result is %+v, dead letter %+v (%v)", s, letter, err)
		}
		reply(t, answer, wire.SaveAnswer{Plan: plan.ID(), Statuses: []wire.SaveStatus{wire.SaveCommitted}}.Encode())
		r, _ = b.next()
		w := work(5)
		w.Grant[0].Chunk.Bad = []chunk.Flaw{{Index: 1, Reason: "no JSON"}}
		reply(t, r, w.Encode())
		_, s = b.save()
		if text := string(s.Dead); s.DeadCount != 2 || strings.Count(text, "drill v3") != 1 || strings.Count(text, "no JSON") != 1 {
			t.Errorf("dead letters are %s", text)
		}
	})
}

// v4 works until it dies, 20 s after it started to the nanosecond; one that is
// stopped earlier does not die.
func TestDrill_dies(t *testing.T) {
	var begin, death time.Time
	rig := func(m *mapper.Mapper) {
		begin = time.Now()
		m.Rig(nil, func() { death = time.Now() })
	}
	cfg := mapper.Config{Transform: noTime, Workers: 1, Drill: "v4"}
	t.Run("left alone", func(t *testing.T) {
		runRigged(t, cfg, rig, func(t *testing.T, b *bench) {
			r, _ := b.next()
			reply(t, r, work(0).Encode())
			b.save()
			if b.alive() != nil || b.ready() != nil {
				t.Errorf("alive: %v, ready: %v", b.alive(), b.ready())
			}
			pass(time.Minute)
			if lived := death.Sub(begin); lived != 20*time.Second {
				t.Errorf("exited after %s, want 20s", lived)
			}
		})
	})
	t.Run("stopped", func(t *testing.T) {
		rig := func(m *mapper.Mapper) { m.Rig(nil, func() { t.Error("exited after it was stopped") }) }
		runRigged(t, cfg, rig, func(t *testing.T, b *bench) {
			pass(10 * time.Second)
			b.cancel()
			if err := <-b.done; err != nil {
				t.Error(err)
			}
			pass(time.Minute)
		})
	})
}
