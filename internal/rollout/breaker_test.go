package rollout

import (
	"slices"
	"testing"
	"time"
)

// step is an event of a breaker, and the expected state after it.
type step struct {
	after  time.Duration // passes first
	do     string        // "": nothing, "fenced", "reset"; or a chunk that went well, badly or partly
	times  int           // 0 is once
	change Transition    // of the last time; Unchanged the times before
	state  State
	passes bool // a chunk, while none is held
	probes bool // a chunk passes even while one is held
}

const (
	limit = 0.2
	rest  = 30 * time.Second
)

// results is what the words for chunks mean.
var results = map[string]Outcome{
	"well": {Objects: 100}, "badly": {Objects: 100, Failed: 100}, "partly": {Objects: 100, Failed: 10}, "at limit": {Objects: 100, Failed: 20},
	"empty": {},
}

// TestBreaker follows breakers through their states.
func TestBreaker(t *testing.T) {
	t.Parallel()
	opens := []step{
		{do: "badly", times: 4, state: Closed, passes: true, probes: true}, // too few chunks to open
		{do: "badly", change: Opened, state: Open},
		{do: "fenced", state: Open},
	}
	halfOpen := slices.Concat(opens, []step{{after: rest, state: HalfOpen, passes: true}})
	doubled := []step{{after: rest, state: HalfOpen, passes: true}}
	for _, open := range []time.Duration{2 * rest, 4 * rest, 8 * rest, 16 * rest, 32 * rest, 32 * rest, 32 * rest} {
		doubled = append(doubled,
			step{do: "badly", change: Opened, state: Open},
			step{do: "fenced", state: Open},
			step{after: open - 1, state: Open},
			step{after: 1, state: HalfOpen, passes: true},
		)
	}
	for name, c := range map[string]struct {
		limit float64
		steps []step
	}{
		"closed while failures are below the limit": {limit, []step{{do: "partly", times: 50, state: Closed, passes: true, probes: true}}},
		"closed while failures are at the limit":    {limit, []step{{do: "at limit", times: 50, state: Closed, passes: true, probes: true}}},
		"chunks without objects fail nothing":       {limit, []step{{do: "empty", times: 50, state: Closed, passes: true, probes: true}}},
		"opens above the limit":                     {limit, opens},
		"considers the last 20 chunks": {limit, []step{
			{do: "well", times: 100, state: Closed, passes: true, probes: true},
			{do: "badly", times: 4, state: Closed, passes: true, probes: true}, // 4 of 20 is the limit
			{do: "well", times: 16, state: Closed, passes: true, probes: true},
			{do: "badly", times: 4, state: Closed, passes: true, probes: true}, // the first 4 are forgotten
			{do: "badly", change: Opened, state: Open},
		}},
		"a limit of 0 never opens": {0, []step{{do: "badly", times: 100, state: Closed, passes: true, probes: true}}},
		"results that come while it is open do not count": {limit, slices.Concat(opens, []step{
			{do: "badly", times: 10, state: Open}, {do: "well", times: 10, state: Open},
			{after: rest - 1, state: Open}, {after: 1, state: HalfOpen, passes: true},
			{do: "well", change: Reclosed, state: Closed, passes: true, probes: true},
		})},
		"a good probe closes it, and all is forgotten": {limit, slices.Concat(halfOpen, []step{
			{do: "well", change: Reclosed, state: Closed, passes: true, probes: true},
			{do: "badly", times: 4, state: Closed, passes: true, probes: true},
			{do: "badly", change: Opened, state: Open}, {do: "fenced", state: Open},
			{after: rest - 1, state: Open}, {after: 1, state: HalfOpen, passes: true}, // not doubled
		})},
		"a bad probe doubles the open time, 5 times at most": {limit, slices.Concat(opens, doubled)},
		"a reset closes it, and all is forgotten": {limit, slices.Concat(opens, []step{
			{do: "reset", state: Closed, passes: true, probes: true},
			{do: "badly", times: 4, state: Closed, passes: true, probes: true},
			{do: "badly", change: Opened, state: Open}, {do: "fenced", state: Open},
			{after: rest, state: HalfOpen, passes: true},
		})},
		"nothing passes before the saver knows": {limit, []step{
			{do: "badly", times: 5, change: Opened, state: Open},
			{after: rest, state: HalfOpen}, {do: "reset", state: Closed}, {do: "fenced", state: Closed, passes: true, probes: true},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			now, table := start, New(Config{BreakAt: c.limit, BreakFor: rest})
			v, _ := table.Add(now, "v", nil)
			for i, s := range c.steps {
				now = now.Add(s.after)
				var change Transition
				for n := range max(1, s.times) {
					if change != Unchanged {
						t.Fatalf("step %d, %+v: transition %d at time %d", i, s, change, n)
					}
					switch s.do {
					case "":
					case "fenced":
						v.Breaker.Fenced()
					case "reset":
						v.Breaker.Reset()
					default:
						change = v.Breaker.Record(now, results[s.do])
					}
				}
				passes, probes := table.Eligible(now, v, idle), table.Eligible(now, v, func() int { return 1 })
				if state := v.Breaker.State(now); change != s.change || state != s.state || passes != s.passes || probes != s.probes {
					t.Fatalf("step %d, %+v: transition %d, %s, a chunk passes %t, a second one %t", i, s, change, state, passes, probes)
				}
				if v.Breaker.Closed() != (s.state == Closed) || table.Serves(v) != (s.state == Closed) {
					t.Fatalf("step %d, %+v: closed %t, serves %t", i, s, v.Breaker.Closed(), table.Serves(v))
				}
				if left := v.Breaker.ProbeIn(now); s.state != Closed && (left > 0) != (s.state == Open) {
					t.Fatalf("step %d, %+v: a probe in %s", i, s, left)
				}
			}
		})
	}
}

// TestBreaker_failedShare: FailedShare returns the share for which the breaker opened, even
// after newer chunks have replaced those that opened it.
func TestBreaker_failedShare(t *testing.T) {
	t.Parallel()
	b := Breaker{limit: 0.5, rest: rest}
	for range 3 {
		b.Record(start, results["well"])
	}
	for range 4 {
		b.Record(start, results["badly"])
	}
	b.Record(start, results["well"])
	if got := b.FailedShare(); b.State(start) != Open || got != 4./7 {
		t.Errorf("%s for %g, want open for 4 of 7", b.State(start), got)
	}
}

// TestMostlyFailed: more mappers do not help when half of what they do fails.
func TestMostlyFailed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		good, bad int
		want      bool
	}{
		"nothing yet": {0, 0, false}, "too few": {0, 4, false}, "enough": {0, 5, true}, "half": {3, 3, true}, "less": {4, 3, false}, "the last 20": {30, 10, true},
	} {
		var o Outcomes
		for range c.good {
			o.Add(results["well"])
		}
		for range c.bad {
			o.Add(results["badly"])
		}
		if o.MostlyFailed() != c.want {
			t.Errorf("%s: mostly failed %t, with a share of %g", name, !c.want, o.FailedShare())
		}
	}
}
