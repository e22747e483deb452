package sim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/chunkline/chunkline/internal/bus"
	"github.com/chunkline/chunkline/internal/bus/bustest"
	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/fetcher"
	"github.com/chunkline/chunkline/internal/mapper"
	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/internal/rollout"
	"github.com/chunkline/chunkline/internal/wire"
)

// release is a mapper version beside v1, and its settings. v1 works and is not limited, so the job
// ends even if all others fail.
type release struct {
	name    string
	share   float64 // VERSION_SHARES; 1: not listed
	shadows float64 // SHADOW; 0: not listed
	program string  // transform; empty: as v1
	ordered bool    // the operator changes its share, and makes it shadow
}

// Programs of bad versions. They take no time; see lag.
const (
	failing      = `jq:if (.uuid[1:] | tonumber) % 3 > 0 then error("spoilt") else {id: .uuid, name: (.fn + " " + .ln)} end`
	wrongOutputs = `jq:{id: .uuid, name: "wrong"}` // of a shadowing version: none of it may be saved
)

// spoilt reports whether a dead letter comes from the failing program.
func (s *scenario) spoilt(i int, l chunk.DeadLetter) bool {
	return i%3 > 0 && strings.Contains(l.Error, "spoilt") && s.release(l.Version).program == failing
}

// release returns the settings of a version.
func (s *scenario) release(version string) release {
	if i := slices.IndexFunc(s.releases, func(v release) bool { return v.name == version }); i >= 0 {
		return s.releases[i]
	}
	return release{share: 1}
}

// versions draws other versions, their mappers, and the operator's commands.
func (s *scenario) versions(r *rand.Rand) {
	if r.IntN(2) == 0 {
		return
	}
	if r.IntN(2) == 0 {
		s.breakAt, s.breakFor = pick(r, 0.2, 0.5), between(r, time.Second, 30*time.Second)
	}
	for i := range 1 + r.IntN(2) {
		v := release{name: fmt.Sprint("v", i+2), share: 1}
		switch r.IntN(4) {
		case 0:
			v.share = pick(r, 0, 0, 0.05, 0.3, 0.7)
		case 1:
			if i == 0 { // only one version can shadow
				v.shadows, v.program = pick(r, 0.3, 1, 1), pick(r, "", wrongOutputs, wrongOutputs)
			}
		case 2:
			v.program, v.share = failing, pick(r, 1, 1, 0.3)
		case 3:
			v.ordered, v.share, v.program = true, pick(r, 0, 0.3, 1), pick(r, "", "", failing)
		}
		s.releases = append(s.releases, v)
	}
	for i := range s.mappers[1:] {
		if i == 0 || r.IntN(2) == 0 {
			s.mappers[1+i].version = pick(r, s.releases...).name
		}
	}
	orders := []wire.ControlAction{wire.ControlShare, wire.ControlAllow, wire.ControlShadow}
	if s.releases[0].shadows > 0 {
		orders = orders[:2] // the third would end the shadow run that the invariants check
	}
	for range r.IntN(8) {
		if v := pick(r, s.releases...); v.ordered {
			s.events = append(s.events, event{at: s.moment(r), kind: "order", who: []string{"operator"}, order: wire.Control{
				Action: pick(r, orders...), Version: v.name, Share: pick(r, 0, 0.3, 1),
			}})
		}
	}
	for range r.IntN(4) {
		s.events = append(s.events, event{at: s.moment(r), kind: "look", who: []string{"fetcher"}})
	}
	if r.IntN(3) == 0 {
		s.events = append(s.events, event{at: s.moment(r), kind: "redo", who: []string{"saver"}, order: wire.Control{Version: pick(r, "v1", s.releases[0].name)}})
	}
}

// rule configures a fetcher for the versions.
func (s *scenario) rule(cfg *fetcher.Config) {
	cfg.BreakAt, cfg.BreakFor, cfg.VersionShares = s.breakAt, s.breakFor, rollout.Shares{}
	for _, v := range s.releases {
		if v.share < 1 {
			cfg.VersionShares[v.name] = v.share
		}
		if v.shadows > 0 {
			cfg.Shadow = rollout.Shadow{Version: v.name, Share: v.shadows}
		}
	}
}

// longestRest is how long v1 may get no chunk after the trouble: the circuit breaker may have
// disabled it, and each object that cannot be mapped may fail another of its probes.
func (s *scenario) longestRest() time.Duration { return 32 * 16 * s.breakFor }

// launchVersion starts a mapper with the transform of its version.
func (c *cluster) launchVersion(m mapperPlan) *role {
	transform := fmt.Sprintf("users?duration=%s", m.duration)
	if program := c.s.release(m.version).program; program != "" {
		transform = program
	}
	return c.launchMapper(m.name, transform, func(cfg *mapper.Config) {
		if cfg.Workers = m.workers; m.version != "" {
			cfg.Version = m.version
		}
	})
}

// versionOf returns the version of a mapper by its name.
func (s *scenario) versionOf(name string) string {
	if i := slices.IndexFunc(s.mappers, func(m mapperPlan) bool { return m.name == name }); i >= 0 && s.mappers[i].version != "" {
		return s.mappers[i].version
	}
	return "v1"
}

// lag delays a grant to a mapper whose program takes no time, so that it does not get all the work at once. A mapper
// waits for 1 s beyond the Wait of its request, and the fetcher may answer 250 ms late (its tick). A longer lag than
// the difference would lose every answer at the end of the Wait. The fetcher answers the oldest request, so a piece
// could then go to requests of that age again and again.
func (s *scenario) lag(p bustest.Packet) time.Duration {
	if verbOf(p) != wire.VerbNext || !p.Reply || s.release(s.versionOf(p.To)).program == "" {
		return 0
	}
	i := slices.IndexFunc(s.mappers, func(m mapperPlan) bool { return m.name == p.To })
	return min(s.mappers[i].duration, 700*time.Millisecond)
}

// command sends an order, as chunkline control does.
func (c *cluster) command(order wire.Control) {
	b := bus.New(c.net.Connect("operator"), job)
	defer b.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if reply, err := b.Request(ctx, wire.VerbControl, order.Encode()); err == nil {
		if a, err := wire.DecodeControlAnswer(reply); err == nil && a.OK {
			c.watch.happened("order obeyed: " + string(order.Action))
		}
	}
}

// look sends a fetcher the live page's requests, for which the fetcher asks the saver beside its
// own requests.
func (c *cluster) look(r *role) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if page, err := r.Dead(ctx, 1<<40, 50); err == nil {
		c.watch.happened("dead letters looked at")
		for _, l := range page.Letters {
			if object := c.s.user(int(l.Ordinal)); l.Bytes != len(object) || !strings.HasPrefix(object, l.Object) {
				c.watch.wrong("dead letter of object %d: got the object %q", l.Ordinal, l.Object)
			}
		}
	}
	compared, err := r.Shadow(ctx)
	if err != nil {
		return
	}
	c.watch.happened("shadow report looked at")
	for _, v := range compared.Versions {
		if of := c.s.release(v.Version); of.shadows == 0 && !of.ordered || v.Different > v.Objects || v.Failed > v.Different {
			c.watch.wrong("shadow report: got %+v, want no version that does not shadow, and no more differences than objects", v)
		}
	}
}

// redo requeues the chunks of the bad version, if there is one. No saver runs; a fetcher may. The
// caller holds mu.
func (c *cluster) redo() {
	version := c.bad
	c.bad = ""
	if version == "" || c.result != nil {
		return
	}
	gone := c.sink.Redo(version)
	c.note("requeued pieces %v of %s", gone, version)
	if len(gone) == 0 {
		return
	}
	c.redone = c.sink.Epoch()
	c.watch.forget(gone)
	c.watch.happened("redo")
}

// retire kills the mappers of a version for good.
func (c *cluster) retire(version string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range c.s.mappers {
		if c.s.versionOf(m.name) == version {
			p := c.procs[m.name]
			p.retired, p.killed = true, true
			p.role.kill()
		}
	}
}

// gotten is the key of an object that a mapper got.
func gotten(by string, ordinal uint64) string {
	return by + " " + strconv.FormatUint(ordinal, 10)
}

// askAsBefore asks for work as a mapper of protocol 1 does. The answer must say what is wrong.
func (c *cluster) askAsBefore() {
	b := bus.New(c.net.Connect("old"), job)
	defer b.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	next := wire.Next{Mapper: report.Mapper{ID: b.ID(), Name: "old", Version: "v1", Transform: "users"}, Wait: time.Second}
	next.Seq, next.Asking = 1, []uint64{1}
	m := next.Encode()
	m.Header[wire.KeyProtocol] = "1"
	reply, err := b.Request(ctx, wire.VerbNext, m)
	if err != nil {
		return
	}
	switch a, err := wire.DecodeWork(reply); {
	case err != nil || a.Status != wire.WorkRefused || !strings.Contains(a.Reason, "this program speaks 2"):
		c.watch.wrong("request of protocol 1: got %+v, %v, want a refusal that names protocol 2", a, err)
	default:
		c.watch.happened("mapper of protocol 1 refused")
	}
}
