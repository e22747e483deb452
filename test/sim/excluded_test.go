package sim

import (
	"errors"
	"testing"
	"time"

	"github.com/chunkline/chunkline/internal/app"
	"github.com/chunkline/chunkline/internal/bus"
	"github.com/chunkline/chunkline/internal/bus/bustest"
	"github.com/chunkline/chunkline/internal/fetcher"
	"github.com/chunkline/chunkline/internal/mapper"
	"github.com/chunkline/chunkline/internal/wire"
)

// A chunk that crashes its mappers waits for a mapper that has proved to work, unless that mapper's
// version gets no chunks because it is capped, has a share of zero or shadows.
func TestExcludedMapper(t *testing.T) {
	const poison = 2
	for name, order := range map[string]wire.Control{
		"limited": {Action: wire.ControlShare, Version: "v2", Share: 0.3},
		"none":    {Action: wire.ControlShare, Version: "v2"},
		"shadow":  {Action: wire.ControlShadow, Version: "v2", Share: 1},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, 3, 1, func(t *testing.T, w *world) {
				operator := bus.New(w.net.Connect("operator"), job)
				defer operator.Close()
				k := newSupervised(w, "a", "b")
				w.tape.faults(func(p bustest.Packet) bustest.Fate {
					if g := handsOut(p, poison); g != nil && !g.Careful {
						time.AfterFunc(100*time.Millisecond, func() { k.kill(p.To) })
					}
					if announces(p, poison, 0) {
						k.kill(p.From)
					}
					return bustest.Fate{}
				})
				w.saver("saver")
				f := w.fetcher("fetcher", func(c *fetcher.Config) { c.MaxAttempts = 3 })
				for _, name := range []string{"works", "other"} { // the third chunk stays ready
					w.mapper(name, "users?duration=1s", func(c *mapper.Config) { c.Version = "v2" })
				}
				pass(500 * time.Millisecond)
				w.control(operator, order)
				if err := k.keep(f, "users?duration=500ms", nil); !errors.Is(err, app.ErrDeadLetters) {
					t.Fatalf("job ended with %v, want dead letters", err)
				}
				w.complete(3, poison)
			})
		})
	}
}
