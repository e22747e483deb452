// Package chaos runs jobs in real processes while the processes, NATS and the network
// fail. At a known moment all faults end, and then the job must finish by itself.
//
//	go test -tags long ./test/chaos                                  a little of everything, half a minute
//	go test -tags long ./test/chaos -run TestStorm -for 10m -seed 1  seed after seed, for ten minutes
//	go test -tags long ./test/chaos -run TestStorm -seed 17          one history again
//	go test -tags long ./test/chaos -run TestFreeze -freeze 1m       NATS frozen for a minute
//	go test -tags long,netns ./test/chaos -run TestNetwork -for 5m   cuts between network namespaces
//	go test -tags long,netns ./test/chaos -run TestInit              as process 1 of a PID namespace
//
// The last two need root and Linux, TestNetwork also iproute2 and iptables, and fail without.
//
// # What it promises
//
// At the end of each job, the checker and verify find every object in the output exactly
// once, and the fetcher exits with 0. No process exits by itself before. The reports of
// the roles (counts, epochs, "committed") are true. A seed determines the faults, their
// victims, their duration and their order.
//
// # What it does not promise
//
// A seed does not determine what the scheduler and the disk do, so a run with the same
// seed has the same faults but not the same history. test/sim covers lost, doubled and
// damaged messages; the tests of internal/sink cover failing disks and power cuts.
package chaos
