package mapper

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"github.com/rs/zerolog"

	"github.com/chunkline/chunkline/internal/app"
	"github.com/chunkline/chunkline/internal/chunk"
)

// drills are the releases of a mapper that the DRILL setting can imitate, for practising updates.
var drills = map[string]string{
	"v1": "works",
	"v2": "never works: it is never ready and asks for no chunk",
	"v3": "fails 10 % of its health checks and 10 % of its work",
	"v4": "works, then dies 20 s after it started",
	"v5": "works",
}

const (
	drillFails = 0.1              // v3
	drillLife  = 20 * time.Second // v4
)

// A drill makes a mapper behave like one of drills. The methods of a nil drill do nothing; a mapper has a nil drill
// unless DRILL is set.
type drill struct {
	name string
	roll func() float64 // a number in [0, 1); called by several goroutines
	die  func()         // ends the process as a crash does
}

func checkDrill(name string) error {
	if _, known := drills[name]; !known && name != "" {
		return app.WrongSetting("DRILL", "=%q: use v1 to v5, or leave it empty", name)
	}
	return nil
}

func newDrill(name string) *drill {
	if name == "" {
		return nil
	}
	return &drill{name: name, roll: rand.Float64, die: func() {
		fmt.Fprintln(os.Stderr, "mapper: drill v4 dies 20 s after it started")
		os.Exit(app.ExitFailed) //nolint:forbidigo // a crash without goodbye or drain, which the fetcher must detect
	}}
}

// begin logs that this is a drill, and starts the timer of v4. The caller stops the timer with stop.
func (d *drill) begin(log zerolog.Logger) (stop func()) {
	if d == nil {
		return func() {}
	}
	log.Warn().Str("drill", d.name).Msgf("this is a drill (DRILL=%s): this mapper %s", d.name, drills[d.name])
	if d.name != "v4" {
		return func() {}
	}
	timer := time.AfterFunc(drillLife, d.die)
	return func() { timer.Stop() }
}

// hold keeps a mapper with drill v2 from working until asking ends.
func (d *drill) hold(asking context.Context) {
	if d != nil && d.name == "v2" {
		<-asking.Done()
	}
}

// alive and ready fail the checks that the drill fails.
func (d *drill) alive() error {
	if d != nil && d.name == "v3" && d.roll() < drillFails {
		return errors.New("drill v3 fails 10 % of its health checks")
	}
	return nil
}

func (d *drill) ready() error {
	if d != nil && d.name == "v2" {
		return errors.New("drill v2 never works")
	}
	return d.alive()
}

// fail picks at random the objects of a chunk that v3 fails.
func (d *drill) fail(objects int) (failed []chunk.Flaw) {
	if d == nil || d.name != "v3" {
		return nil
	}
	for i := range objects {
		if d.roll() < drillFails {
			failed = append(failed, chunk.Flaw{Index: i, Reason: "drill v3 fails 10 % of its work"})
		}
	}
	return failed
}
