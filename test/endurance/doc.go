//go:build linux

// Command endurance passes only if, in one long job of real processes, memory,
// descriptors and goroutines of each stay flat, nothing is lost and the job
// ends, though something goes wrong in about one chunk of a hundred.
//
//	go run ./test/endurance -n 10000000 -rate 28000
//	go run ./test/endurance -n 200000 -rate 8000
//
// It says nothing about speed: RATE stretches the job so that there are enough
// samples. It needs Linux (/proc) and builds the programs itself.
package main
