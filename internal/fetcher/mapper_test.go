package fetcher_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestMapperLog: invented mappers cause a bounded number of log lines, and the log of a
// mapper that held nothing does not mention chunks.
func TestMapperLog(t *testing.T) {
	const invented = 500
	var b *bench
	run(t, 10, func(t *testing.T, running *bench) {
		b = running
		b.wantWork(b.ask(next("m3", 1)), 0)
		for i := range invented {
			b.beat(fmt.Sprintf("x%d", i), 1, nil)
		}
		pass(90 * time.Second) // all have fallen silent, and the minute has ended
		if gone := len(b.Status().Gone); gone == 0 {
			t.Error("no mapper is listed as gone")
		}
	})
	log := b.log.String()
	for what, want := range map[string]int{
		"mapper joined": 20, "it held no chunk": 20, "its chunks go to others": 1, "these had no line of their own": 1,
	} {
		if n := strings.Count(log, what); n != want {
			t.Errorf("%d log lines have %q, want %d", n, what, want)
		}
	}
	for line := range strings.SplitSeq(log, "\n") {
		if strings.Contains(line, "go to others") && !strings.Contains(line, `"mapper_id":"m3"`) {
			t.Errorf("the log says that a mapper without pieces lost some: %s", line)
		}
		if strings.Contains(line, "no line of their own") && !strings.Contains(line, `"came":481,"went":480,"went_with_chunks":0`) {
			t.Errorf("the summary of the other mappers is %s", line)
		}
	}
}
