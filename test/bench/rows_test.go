//go:build bench

package bench

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// row is one way to do a job, to be measured.
type row struct {
	name    string
	group   string // rows that are chosen together
	about   string
	measure func(t *testing.T, b *bench) figures
	aims    []aim
}

// aim is the target of a figure of a row.
type aim struct {
	figure string
	of     string // the row whose figure it is divided by, in the same run; empty: none
	least  bool   // at least want; else at most
	want   float64
}

func atMost(want float64, figure, of string) aim { return aim{figure: figure, of: of, want: want} }

// figures are what a run of a row measured, by name.
type figures map[string]float64

const (
	wall = "wall s"
	cpu  = "CPU s"
)

// jqProgram does what the transform users does.
const jqProgram = `{id: .uuid, name: (.fn + " " + .ln)}`

var rows = []row{
	{name: "floor", group: "quick", about: "core NATS, 2 forwarders with sonic, window 64, synced before credit", measure: floor{}.measure},
	{name: "floor-own", group: "quick", about: "core NATS, 2 forwarders with chunkline's parser, window 256, one sync", measure: floor{own: true, window: 256, late: true}.measure},
	{name: "floor-identity", group: "quick", about: "floor without a map", measure: floor{identity: true}.measure},
	{name: "jetstream-2", group: "quick", about: "two JetStream work queues, 2 forwarders with sonic", measure: floor{stream: true}.measure},
	{name: "jetstream-10", group: "quick", about: "two JetStream work queues, 10 forwarders with sonic", measure: floor{stream: true, forwarders: 10}.measure},
	{name: "users-2", group: "quick", about: "chunkline, 2 mappers, users", measure: job{mappers: 2}.measure, aims: processes("jetstream-2")},
	{name: "users-4", group: "quick", about: "chunkline, 4 mappers, users", measure: job{mappers: 4}.measure, aims: processes("jetstream-2")},
	{name: "users-10", group: "quick", about: "chunkline, 10 mappers, users", measure: job{mappers: 10}.measure, aims: processes("jetstream-10")},
	{name: "identity-2", group: "quick", about: "chunkline, 2 mappers, identity", measure: job{mappers: 2, transform: "identity"}.measure, aims: []aim{atMost(1.4, wall, "floor-identity")}},

	{name: "plain", group: "quick", about: "one plain process with sonic on 2 goroutines", measure: program{own: true}.measure},
	{name: "run-users", group: "quick", about: "chunkline run -t users", measure: program{args: []string{"-t", "users"}}.measure, aims: []aim{atMost(1.3, wall, "plain")}},
	{name: "jq", group: "quick", about: "jq -c, on one core", measure: program{jq: true}.measure},
	{name: "run-jq", group: "quick", about: "chunkline run -m with the same program", measure: program{args: []string{"-m", jqProgram}}.measure, aims: []aim{atMost(0.6, wall, "jq")}},

	{name: "jetstream-wait-4", group: "waiting", about: "two JetStream work queues, 1,000 chunks of 50 ms, 4 forwarders that are up", measure: waiting{mappers: 4, stream: true}.measure},
	{name: "jetstream-wait-16", group: "waiting", about: "two JetStream work queues, 1,000 chunks of 50 ms, 16 forwarders that are up", measure: waiting{mappers: 16, stream: true}.measure},
	{name: "jetstream-wait-64", group: "waiting", about: "two JetStream work queues, 1,000 chunks of 50 ms, 64 forwarders that are up", measure: waiting{mappers: 64, stream: true}.measure},
	{name: "wait-4", group: "waiting", about: "chunkline, 1,000 chunks of 50 ms, 4 mappers that are up", measure: waiting{mappers: 4}.measure, aims: waits(0.97, "jetstream-wait-4")},
	{name: "wait-16", group: "waiting", about: "chunkline, 1,000 chunks of 50 ms, 16 mappers that are up", measure: waiting{mappers: 16}.measure, aims: waits(0.97, "jetstream-wait-16")},
	{name: "wait-64", group: "waiting", about: "chunkline, 1,000 chunks of 50 ms, 64 mappers that are up", measure: waiting{mappers: 64}.measure, aims: waits(0.93, "jetstream-wait-64")},

	{name: "killed", group: "trouble", about: "500 chunks of 200 ms, 10 mappers, one killed half-way", measure: trouble{kill: true}.measure, aims: []aim{atMost(1.08, timesIdeal, "")}},
	{name: "slow-mapper", group: "trouble", about: "500 chunks of 200 ms, 10 mappers, one 40 × slower", measure: trouble{}.measure, aims: []aim{atMost(1.13, timesIdeal, "")}},

	{
		name: "slow", group: "slow", about: "2,000 objects of 0.5 s, 32 workers, one process", measure: measureSlow,
		aims: []aim{atMost(10, firstProgress, ""), atMost(5, idle, ""), {figure: busyWorkers, least: true, want: slowWorkers}},
	},
}

// processes returns the aims of quick work in separate processes.
func processes(stream string) []aim {
	return []aim{atMost(1.25, wall, "floor"), atMost(1.4, cpu, "floor"), atMost(0.5, wall, stream)}
}

// waits returns the aims of waiting work: at least a share of the ideal, and no slower than JetStream.
func waits(share float64, stream string) []aim {
	return []aim{{figure: shareOfIdeal, least: true, want: share}, atMost(1, wall, stream)}
}

// choose returns the rows in a list of names and groups (empty: all), with the rows
// that they are compared with, in the order of the table.
func choose(list string) (chosen []row, err error) {
	wanted := map[string]bool{}
	for name := range strings.SplitSeq(list, ",") {
		found := false
		for _, r := range rows {
			if name != "" && name != r.name && name != r.group {
				continue
			}
			found, wanted[r.name] = true, true
			for _, a := range r.aims {
				wanted[a.of] = true
			}
		}
		if !found {
			return nil, fmt.Errorf("no row or group is called %q; use some of %s", name, names())
		}
	}
	return slices.DeleteFunc(slices.Clone(rows), func(r row) bool { return !wanted[r.name] }), nil
}

func names() string {
	var all []string
	for _, r := range rows {
		if !slices.Contains(all, r.group) {
			all = append(all, r.group)
		}
		all = append(all, r.name)
	}
	return strings.Join(all, ", ")
}

const (
	shareOfIdeal = "share of the ideal"
	timesIdeal   = "× the ideal"
)

// compare adds how long the job took compared with the ideal, in which no worker
// ever idles.
func (f figures) compare(ideal time.Duration) figures {
	f[shareOfIdeal], f[timesIdeal] = ideal.Seconds()/f[wall], f[wall]/ideal.Seconds()
	return f
}
