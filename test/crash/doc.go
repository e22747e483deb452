// Package crash kills the saver, the fetcher and a mapper with SIGKILL at every
// failpoint and starts them again. The job must end with every object in the sink exactly
// once. The programs are built with the tag failpoints; internal/failpoint lists the
// places.
//
//	go test -tags long ./test/crash                each place once, some of the recoveries and second runs that die too
//	go test -tags long ./test/crash -hits 3 -v     the first three times at each place, all recoveries, and what was not reached
//
// A job has 600 objects in 40 chunks, and every tenth object becomes a dead letter. Many
// jobs run at a time, because a job spends most of its time waiting until the fetcher
// notices a dead mapper.
//
// The tests of internal/sink cover the step to the next file of the log, which takes
// 1 GiB, and power cuts.
package crash
