// Package crash kills the saver, the fetcher and a mapper with SIGKILL at every
// failpoint there is, starts them again, and demands that the job ends with
// every object in the sink exactly once. The programs are built with the tag
// failpoints; see internal/failpoint for the places.
//
//	go test ./test/crash                an eighth of the places
//	go test ./test/crash -hits 1        each place once, some of the recoveries and second runs that die too
//	go test ./test/crash -hits 3 -v     the first three times at each place, all recoveries, and what was not reached
//
// A job has 600 objects in 40 chunks, every tenth object a dead letter. Many
// jobs run at a time: most of one's time goes into noticing that a mapper is
// gone.
//
// Not here: the roll-over to the next part of the log, which takes 1 GiB. The tests
// of internal/sink have it, and what a power cut takes along.
package crash
