// Package chaos runs jobs in real processes while these, NATS and the network
// fail. A test's faults end at a known moment, everything is healed, and then
// the job must end by itself.
//
//	go test ./test/chaos                                        a little of everything, half a minute
//	go test ./test/chaos -run TestStorm -for 10m -seed 1        seed after seed, for ten minutes
//	go test ./test/chaos -run TestStorm -seed 17                one history again
//	go test ./test/chaos -run TestFreeze -freeze 1m             NATS frozen for a minute
//	go test -tags netns ./test/chaos -run TestNetwork -for 5m   cuts between network namespaces
//	go test -tags netns ./test/chaos -run TestInit              as process 1 of a PID namespace
//
// The last two need root and Linux, TestNetwork also iproute2 and iptables, and fail without.
//
// # What it promises
//
// Each job ends with every object in the output exactly once, as the checker
// finds and as verify finds; the fetcher ends with 0; nobody ends by himself
// before; what the roles said (counts, epochs, "committed") is true. A seed
// decides who is struck with what, for how long, and in which order.
//
// # What it does not promise
//
// A seed does not decide what the scheduler and the disk do meanwhile, so a
// history is replayed, not repeated. Dropped, doubled and damaged messages are
// for test/sim; disks that fail and power cuts are for the sink's own tests.
package chaos
