package fetcher_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chunkline/chunkline/internal/fetcher"
	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/internal/sink"
)

// TestMergeFails: a fetcher that is a process of its own says at once why the result could not be merged. Beside other
// roles the reason is logged once, when another try succeeds.
func TestMergeFails(t *testing.T) {
	for name, alone := range map[string]bool{"alone": true, "beside other roles": false} {
		t.Run(name, func(t *testing.T) {
			before := func(b *bench) {
				b.logsAlone = alone
				b.sink.OnFinish = func() error {
					b.sink.OnFinish = nil
					return errors.New("the disk is gone")
				}
			}
			runAfter(t, 0, before, func(*fetcher.Config) {}, func(t *testing.T, b *bench) {
				pass(5 * time.Second)
				for message, wantReason := range map[string]bool{
					"the saver could not merge the result, asking again":     alone,
					"the saver could merge the result only when asked again": true,
				} {
					fields := strings.Join(fieldsOf(b.log.String(), message), " ")
					if fields == "" || strings.Contains(fields, "reason") != wantReason {
						t.Errorf("%q is logged with the fields %q; want a reason: %t", message, fields, wantReason)
					}
				}
			})
		})
	}
}

// TestMergeWaits: while the saver cannot merge the result, because its store is away, the status says why.
func TestMergeWaits(t *testing.T) {
	before := func(b *bench) {
		b.sink.OnFinish = func() error { return fmt.Errorf("%w: connection refused", sink.ErrUnreachable) }
	}
	runAfter(t, 0, before, func(*fetcher.Config) {}, func(t *testing.T, b *bench) {
		pass(time.Second)
		s := b.Status()
		if s.State != report.StateFinishing || s.Bottleneck == nil || s.Bottleneck.Cause != report.CauseMerge || !strings.Contains(s.Bottleneck.Text, "cannot merge the results yet") ||
			!strings.Contains(s.Bottleneck.Text, "connection refused") {
			t.Errorf("state %s, bottleneck %+v; want the reason why the results are not merged", s.State, s.Bottleneck)
		}
		b.play(func() { b.sink.OnFinish = nil })
		if err := <-b.done; err != nil {
			t.Errorf("the job ended with %v", err)
		}
	})
}
