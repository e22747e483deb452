// Package endurance runs one long job in real processes, with a fault in about one chunk
// of a hundred. It checks that memory, descriptors and goroutines of each process stay
// flat, that nothing is lost, and that the job ends.
//
//	go test -tags endurance -count=1 -timeout 5h -v ./test/endurance -objects 10000000 -rate 28000
//	go test -tags endurance -count=1 -v ./test/endurance -objects 200000 -rate 8000
//
// The other tests run each process in a cgroup with the memory limit that deploy/ gives
// its container, which needs root: 100 mappers with large chunks (TestCrowd), and a saver
// that is stopped for 30 s (TestStoppedSaver). They check that the kernel kills no
// process and that the jobs end.
//
//	go test -tags endurance -count=1 -v ./test/endurance -run TestCrowd -crowd 100
//
// It does not measure speed: RATE slows the job so that there are enough samples. It
// needs Linux (/proc).
package endurance
