// Package endurance passes only if, in one long job of real processes, memory,
// descriptors and goroutines of each stay flat, nothing is lost and the job
// ends, though something goes wrong in about one chunk of a hundred.
//
//	go test -tags endurance -count=1 -timeout 5h -v ./test/endurance -objects 10000000 -rate 28000
//	go test -tags endurance -count=1 -v ./test/endurance -objects 200000 -rate 8000
//
// Its other tests run jobs in which each process has the memory limit that
// deploy/ gives to its container, in a cgroup, which needs root: 100 mappers with
// large chunks (TestCrowd), and a saver that is stopped for 30 s (TestStoppedSaver).
// The kernel kills nobody and the jobs end.
//
//	go test -tags endurance -count=1 -v ./test/endurance -run TestCrowd -crowd 100
//
// It says nothing about speed: RATE stretches the job so that there are enough
// samples. It needs Linux (/proc).
package endurance
