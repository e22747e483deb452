package fetcher_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/chunkline/chunkline/internal/fetcher"
)

// TestMergeFails: a fetcher that is a process of its own says at once why the result could not be merged. Beside other roles the reason is
// logged once, when another try succeeds.
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
