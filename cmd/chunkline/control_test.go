package main

import (
	"testing"

	"github.com/chunkline/chunkline/internal/wire"
)

// TestControlDone: each order is answered with a sentence about what has changed.
func TestControlDone(t *testing.T) {
	t.Parallel()
	for want, order := range map[string]wire.Control{
		"paused; chunks in work will be finished, and no more are handed out until resume": {Action: wire.ControlPause},
		"resumed":                                                                 {Action: wire.ControlResume},
		"cancelled; saved chunks stay":                                            {Action: wire.ControlCancel},
		"version v2 gets chunks again":                                            {Action: wire.ControlAllow, Version: "v2"},
		"the rate is at most 0.5 objects a second now":                            {Action: wire.ControlRate, Rate: 0.5},
		"the rate has no limit now":                                               {Action: wire.ControlRate},
		"version v2 gets at most 25 % of the chunks now":                          {Action: wire.ControlShare, Version: "v2", Share: 0.25},
		"version v2 gets at most 0 % of the chunks now":                           {Action: wire.ControlShare, Version: "v2"},
		"version v2 has no limit now":                                             {Action: wire.ControlShare, Version: "v2", Share: 1},
		"version v2 gets copies of 5 % of the saved chunks now, and nothing else": {Action: wire.ControlShadow, Version: "v2", Share: 0.05},
		"the shadow run is ended":                                                 {Action: wire.ControlShadow, Version: "v2"},
	} {
		if got := done(order); got != want {
			t.Errorf("%+v: %q, want %q", order, got, want)
		}
	}
}

// TestControlRefuses: a wrong number is refused before a server is asked.
func TestControlRefuses(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"rate", "inf"}, {"rate", "NaN"}, {"rate", "1e999"}, {"share", "v2", "inf"}, {"shadow", "v2", "1.1"}} {
		r := must(t, 2, append([]string{"control"}, args...)...)
		wantWords(t, r.err.Error(), args[len(args)-1])
	}
}
