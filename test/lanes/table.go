package main

// entry is one lane of the table.
type entry struct {
	name    string
	about   string   // what it checks
	ci      string   // the command of the set ci; empty: not in it
	all     string   // the command of the set all; empty: not in it
	waits   bool     // it has deadlines, and needs only a part of the cores
	alone   bool     // no other lane runs meanwhile
	vets    bool     // go test vets what it tests; lint vets with all tags, so other lanes need not
	after   []string // lanes that must have passed before it starts
	seconds int      // about how long it and the lanes that need it take in ci
}

// table lists all lanes. The scripts in .ci/ set up what a lane needs beside Go; the other commands
// are targets of the Makefile, for people.
var table = []entry{
	{
		name: "test", about: "the README's test command", alone: true, vets: true, seconds: 120,
		ci: "go test ./...", all: "go test -count=1 ./...",
	}, {
		name: "packages", about: "Debian's packages that the lanes need are installed", alone: true, seconds: 1,
		ci: ".ci/packages", all: ".ci/packages",
	}, {
		name: "images", about: "the four images: version, user, labels", waits: true, seconds: 1100,
		ci: ".ci/images", all: ".ci/images postgres",
	}, {
		name: "cluster-up", about: "a Kubernetes cluster with images and add-ons", waits: true, after: []string{"images"}, seconds: 1000,
		ci: ".ci/cluster-up", all: ".ci/cluster-up postgres:15",
	}, {
		name: "cluster", about: "deploy/ on the cluster: jobs, drills, releases, autoscaling, Prometheus", waits: true, after: []string{"cluster-up"}, seconds: 900,
		ci: ".ci/cluster", all: ".ci/cluster full",
	}, {
		// The cluster's start rewrites iptables, so no container may start meanwhile.
		name: "compose", about: "docker-compose.yaml: jobs, faults, monitoring, mappers in Python and Node", waits: true, after: []string{"images", "cluster-up"}, seconds: 300,
		ci: ".ci/compose", all: ".ci/compose",
	}, {
		name: "lint", about: "format, style, import rules, generated files", seconds: 150,
		ci: ".ci/lint", all: ".ci/lint",
	}, {
		name: "race", about: "the tests within a process that have goroutines, with the race detector; none is skipped", alone: true, seconds: 300,
		ci: ".ci/race", all: ".ci/race",
	}, {
		name: "sim", about: "histories in simulated time, drawn from the commit", seconds: 180,
		ci: "make -s sim SEEDS=150 PAIRS=500", all: "make -s sim SEEDS=1000 PAIRS=3000",
	}, {
		name: "crash", about: "SIGKILL at every failpoint, and in the recovery from it", waits: true, seconds: 90,
		ci: "make -s crash HITS=1", all: "make -s crash",
	}, {
		name: "power", about: "power cuts on a disk in memory", seconds: 40,
		ci: "make -s power CRASHES=1500", all: "make -s power CRASHES=5000",
	}, {
		name: "chaos", about: "real processes, NATS and networks that fail; NATS frozen for 60 s", waits: true, seconds: 80,
		ci: "make -s chaos FOR=20s", all: "make -s chaos FOR=5m",
	}, {
		// Its attackers are slow consumers for the NATS server if they get too little of a core.
		name: "hostile", about: "clients that attack, objects that crash mappers, damaged and huge input", alone: true, seconds: 100,
		ci: "make -s hostile", all: "make -s hostile",
	}, {
		name: "storm-race", about: "programs built with the race detector, killed and stopped at random", waits: true, seconds: 60,
		ci:  `GOFLAGS="$GOFLAGS -race" go test -tags long -count=1 ./test/chaos -run TestStorm -for 20s`,
		all: `GOFLAGS="$GOFLAGS -race" go test -tags long -count=1 -timeout 1h ./test/chaos -run TestStorm -for 3m`,
	}, {
		name: "mutants", about: "broken products turn tests red; ci: eight, drawn from the commit", seconds: 110,
		ci: "make -s mutants SAMPLE=8", all: "make -s mutants",
	}, {
		name: "endurance", about: "memory, descriptors and goroutines stay flat; all: 100 mappers within the memory limits of deploy/", waits: true, seconds: 40,
		ci: "make -s endurance RUN=TestFlat OBJECTS=200000 RATE=8000", all: "make -s endurance",
	}, {
		name: "fuzz", about: "Go's fuzzer on each target", seconds: 80,
		ci: "make -s fuzz FUZZTIME=2000x", all: "make -s fuzz FUZZTIME=20000x",
	}, {
		name: "databases", about: "SQLite and PostgreSQL as sinks and sources; a private PostgreSQL server is killed in the middle of commits and of reading", after: []string{"packages"}, seconds: 90,
		ci:  "go test -count=1 -tags postgres ./internal/postgrestest ./internal/sink/sqlsink/... ./internal/source && go test -count=1 -tags postgres ./test/e2e -run TestPostgres",
		all: "go test -count=1 -tags postgres ./internal/postgrestest ./internal/sink/sqlsink/... ./internal/source && go test -count=1 -tags postgres ./test/e2e -run TestPostgres",
	}, {
		name: "builds", about: "static programs, other systems, the README's demo, real data against jq", seconds: 100,
		ci: ".ci/builds && go run ./test/systems linux/386 darwin/arm64", all: ".ci/builds linux/arm64 && go run ./test/systems linux/386 linux/arm darwin/amd64 darwin/arm64",
	}, {
		name: "benchmarks", about: "benchmarks run; their figures are not checked", seconds: 90,
		ci:  "go test -short -run '^$' -bench . -benchtime 1x ./internal/... && make -s bench OBJECTS=100000 RUNS=1 ROWS=quick,wait-16",
		all: "go test -run '^$' -bench . -benchtime 0.2s ./internal/... && make -s bench RUNS=1",
	}, {
		name: "browser", about: "the live page in Chromium, and under axe", waits: true, seconds: 120,
		ci: ".ci/browser", all: ".ci/browser",
	},
}
