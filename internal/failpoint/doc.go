// Package failpoint lets a test end a process at an exact place: it promises
// that a program built with the tag failpoints kills itself, with SIGKILL, at
// the n-th time it comes to a place that the environment names.
//
//	CHUNKLINE_FAILPOINT=saver.group.committed:2              the second time
//	CHUNKLINE_FAILPOINT=sink.open.index:1,sink.checked:1   whichever comes first
//
// Without the tag Hit is an empty function that the compiler inlines away, and
// the variable means nothing: nobody can kill a saver of a normal build by
// naming a place. A test in test/crash holds a normal program against that.
//
// It does not promise that no other goroutine runs on for the few microseconds
// until the kernel has ended the process, and it loses nothing that is in the
// kernel already: that is a power cut, which the tests of internal/sink play.
package failpoint
