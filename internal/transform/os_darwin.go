package transform

import (
	"fmt"
	"os"
	"runtime/metrics"
	"syscall"
	"time"
)

// ownGroup starts a child in its own session and process group, so that it can be
// killed together with everything it started. It has no terminal, so none can stop
// or end it, and opening one is an error. If this process is killed, the child only
// sees its input end.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setsid: true}
}

// waitNoReap is WNOWAIT, which package syscall lacks.
const waitNoReap = 0x20

// adopts returns false: macOS has neither containers nor subreapers.
func adopts() bool { return false }

func endedChild() int { return 0 }

// selfPath names this program's executable.
func selfPath() (string, error) { return os.Executable() }

// limitMemory ends this process when it takes more than most bytes. macOS has no
// limit for that, so it is checked 100 times a second; memory that is taken in
// between comes on top.
func limitMemory(most int) error {
	sample := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	go func() {
		for range time.Tick(10 * time.Millisecond) {
			metrics.Read(sample)
			if has := sample[0].Value.Uint64() - sample[1].Value.Uint64(); has > uint64(most) {
				fmt.Fprintf(os.Stderr, "out of memory: %d bytes\n", has)
				os.Exit(2) //nolint:forbidigo // this is the end of a process for jq
			}
		}
	}()
	return nil
}
