// Package failpoint lets a test kill a process at an exact place. A program that is built with the tag failpoints kills
// itself with SIGKILL when it reaches a place for the n-th time. The environment names the place:
//
//	CHUNKLINE_FAILPOINT=saver.group.committed:2              the second time
//	CHUNKLINE_FAILPOINT=sink.open.index:1,sink.checked:1   whichever comes first
//
// Without the tag, Hit is an empty function that the compiler inlines away, and the variable has no effect: a normal
// saver cannot be killed by naming a place. A test in test/crash checks that.
//
// Other goroutines may still run for the few microseconds until the kernel has ended the process. Data that the kernel
// already has is not lost; the tests of internal/sink simulate power cuts.
package failpoint
