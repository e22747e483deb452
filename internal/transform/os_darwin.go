package transform

import (
	"fmt"
	"os"
	"runtime/metrics"
	"time"
)

// selfPath names this program's executable.
func selfPath() (string, error) { return os.Executable() }

// limitMemory ends this process when it takes more than most bytes. macOS has no limit for that, so it is checked 100
// times a second; memory that is taken in between comes on top.
func limitMemory(most int) error {
	sample := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	go func() {
		for range time.Tick(10 * time.Millisecond) {
			metrics.Read(sample)
			if has := sample[0].Value.Uint64() - sample[1].Value.Uint64(); has > uint64(most) {
				fmt.Fprintf(os.Stderr, "out of memory: %d bytes\n", has)
				os.Exit(2) //nolint:forbidigo // this process only runs jq
			}
		}
	}()
	return nil
}
